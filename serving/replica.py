"""A replica: one model on one GPU, or on cores, which Ray Serve starts, shares requests out to, and replaces."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag
from typing import BinaryIO, Final

from model.generation.acceleration import Acceleration
from model.generation.make_video import VideoInputs
from model.pretrained.model_parts import ModelParts
from serving.client_words import in_clients_words
from serving.maker import Maker, StoppedError
from serving.orders import Event, News, Order, Piece, Refused
from serving.progress import Progress

PIECE_BYTES: Final = 1 << 20
STUCK_S: Final = 900.0
"""A denoising step, or what comes before the first, that takes longer is not waited for: the replica is replaced."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaConfig:
    """What every replica loads."""

    parts: ModelParts
    acceleration: Acceleration


class Replica:
    """Makes one video at a time, and sends it back with its progress: replicas share no disk with the queue."""

    def __init__(self, config: ReplicaConfig) -> None:
        self._maker = Maker(config.parts, config.acceleration)
        self._fault: str | None = None
        self._heard_s: float | None = None

    def check_health(self) -> None:
        """Called by Serve, which replaces this replica if it raises."""
        if self._fault is not None:
            raise RuntimeError(self._fault)
        if self._heard_s is not None and time.monotonic() - self._heard_s > STUCK_S:
            raise RuntimeError(f"a denoising step has taken more than {STUCK_S:g} s")

    async def make(self, order: Order) -> AsyncGenerator[Event, None]:
        """Make a video. Where nobody wants it any more, it breaks off after the denoising step that is being done.

        An error that is not the request's own counts as this replica's, which is replaced then: a device that was lost
        to the process, for one, would fail all later requests, too.
        """
        stopping, events = Flag(), asyncio.Queue[Event | None]()
        loop = asyncio.get_running_loop()

        def post(event: Event | None) -> None:
            self._heard_s = time.monotonic()
            loop.call_soon_threadsafe(events.put_nowait, event)

        with tempfile.TemporaryDirectory(prefix="soul-replica-") as folder:
            work = _Work(self._maker, order, Path(folder), stopping)
            self._heard_s = time.monotonic()
            making = asyncio.ensure_future(asyncio.to_thread(work.run, post))
            try:
                while (event := await events.get()) is not None:
                    yield event
                await making
            except Exception as error:
                self._fault = f"{type(error).__name__}: {error}"
                raise
            finally:
                # Until its thread has ended, Serve must not give this replica the next request.
                stopping.set()
                with suppress(Exception):
                    await asyncio.shield(making)
                self._heard_s = None


class _Work:
    """One video on its way, in a thread of its own."""

    def __init__(self, maker: Maker, order: Order, folder: Path, stopping: Flag) -> None:
        self._maker, self._order, self._stopping = maker, order, stopping
        self._portrait, self._speech, self._out = folder / "portrait", folder / "speech", folder / "video.mp4"

    def run(self, post: Callable[[Event | None], None]) -> None:
        """Make it; the last thing that is posted is None."""
        try:
            self._portrait.write_bytes(self._order.portrait)
            self._speech.write_bytes(self._order.speech)
            self._make(post)
        except StoppedError:
            """Nobody listens any more."""
        except ValueError as error:
            names = {self._portrait: "image", self._speech: "audio"}
            post(Refused(reason=in_clients_words(str(error), names)))
        finally:
            post(None)

    def _make(self, post: Callable[[Event], None]) -> None:
        inputs = VideoInputs.read(self._portrait, self._speech, self._order.prompt).first(self._order.seconds)
        part, growing, last = self._out.with_suffix(".part.mp4"), list[BinaryIO](), list[Progress]()
        with ExitStack() as stack:

            def tell(progress: Progress) -> None:
                if not growing and part.exists():
                    growing.append(stack.enter_context(part.open("rb")))
                last[:] = [progress]
                post(News(pid=os.getpid(), progress=progress, fragments=growing[0].read() if growing else b""))

            self._maker.make(inputs, self._order.sampling, self._out, stopping=self._stopping, on_progress=tell)
            # The part has lost its name by now, not its end.
            tell(last[0])
        with self._out.open("rb") as file:
            while data := file.read(PIECE_BYTES):
                post(Piece(data=data))
