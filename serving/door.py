"""The door: the queue and the HTTP interface, as Ray Serve runs them; it needs neither torch nor a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from serving.api_config import ApiConfig
from serving.counter import Counter
from serving.desk import Desk
from serving.http_api import build_api
from serving.metrics import Metrics
from serving.orders import Event, Order
from serving.shelf import Shelf


class Door:
    """Takes requests over HTTP. Serve starts it anew where it has died; it goes on with what it finds on disk then."""

    def __init__(self, replicas: Any, config: ApiConfig, folder: str, at_once: int) -> None:
        self._replicas = replicas.options(method_name="make", stream=True)
        shelf = Shelf(Path(folder), config.limits)
        self.desk = Desk(shelf, self._make, at_once=at_once, limits=config.limits, metrics=Metrics())
        self._counter = Counter(self.desk, shelf, config)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """What Serve passes requests on to."""
        return build_api(self._counter)

    async def close(self, patience_s: float) -> None:
        """See `Desk.close`."""
        await self.desk.close(patience_s)

    async def _make(self, order: Order) -> AsyncGenerator[Event, None]:
        answer = self._replicas.remote(order)
        ended = False
        try:
            async for event in answer:
                yield event
            ended = True
        finally:
            if not ended:
                answer.cancel()
