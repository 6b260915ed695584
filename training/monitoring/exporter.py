"""The log of a training for Prometheus: the last scalars as gauges behind HTTP, in the main process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from infra.config import ConfigError
from infra.watched import announced

PREFIX: Final = "soul_training_"
KIND: Final = "soul-training"
"""What Prometheus calls the job."""
LOOPBACK: Final = "127.0.0.1"


class Exporter:
    """The scalars of a training at `/metrics`; a `Log`. Each is a gauge, labelled with the run and the stage.

    `soul_training_step` and `soul_training_steps` say how far it is; the others are named as in `metrics.jsonl`.

    Args:
        folder: of the stage, `RUN/train/STAGE`.
        first_step: the step that training goes on from.
        total_steps: the last one.
        port: that it listens on, on all addresses; 0 for a free one on this machine alone.

    Raises:
        ConfigError: it cannot listen there.
    """

    def __init__(self, folder: Path, first_step: int, total_steps: int, port: int) -> None:
        self._registry = CollectorRegistry()
        self._labels = {"run": str(folder.parent.parent), "stage": folder.name}
        self._gauges: dict[str, Gauge] = {}
        self._set("steps", total_steps, "Steps of the whole training")
        self._set("step", first_step, "Steps that have been made")
        host = "0.0.0.0" if port else LOOPBACK
        try:
            server, thread = start_http_server(port, addr=host, registry=self._registry)
        except OSError as error:
            raise ConfigError(
                f"monitoring.prometheus_port: cannot listen on {host}:{port}: {error.strerror}"
            ) from error
        self._server: WSGIServer = server
        self._thread: threading.Thread = thread
        self._announced = ExitStack()
        self._announced.enter_context(announced(KIND, f"{LOOPBACK}:{self.port}"))

    @property
    def port(self) -> int:
        """That it listens on."""
        return self._server.server_port

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """See `Log`."""
        self._set("step", step, "")
        for name, value in values.items():
            self._set(name, value, f"The average of `{name}` over the steps since the last log")

    def text(self, step: int, name: str, markdown: str) -> None:
        """Keep nothing: a gauge is a number."""

    def video(self, step: int, name: str, path: Path, caption: str) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """See `Log`."""
        self._announced.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _set(self, name: str, value: float, about: str) -> None:
        if name not in self._gauges:
            self._gauges[name] = Gauge(
                PREFIX + name.replace(".", "_"), about, tuple(self._labels), registry=self._registry
            )
        self._gauges[name].labels(**self._labels).set(value)
