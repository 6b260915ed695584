"""The desk: takes requests, keeps them in a fair line, and sees each through to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from serving.access import RefusedError
from serving.fair_line import FairLine
from serving.limits import Limits
from serving.metrics import Metrics
from serving.orders import Event, News, Order, Piece, Refused
from serving.shelf import Shelf
from serving.video import KeptVideo, State

logger = logging.getLogger(__name__)

ATTEMPTS: Final = 3
"""How often a request is begun, at most: what kills every replica must end, too."""
RETRY_S: Final = 5.0
"""Waited before another attempt, times the attempts so far: by then Serve has noticed that a replica is not well."""
EXPIRY_S: Final = 30.0
"""How often what is kept too long is looked for."""
PIECE_BYTES: Final = 1 << 18

Make = Callable[[Order], AsyncGenerator[Event, None]]
"""Has a replica make a video. Closed early, the replica breaks off."""


class Desk:
    """All requests of the server; lives in one event loop.

    Args:
        shelf: where they are kept.
        make: has a replica make one.
        at_once: how many are given to replicas at once.
        limits: how many may wait.
        metrics: counts them.
    """

    def __init__(self, shelf: Shelf, make: Make, *, at_once: int, limits: Limits, metrics: Metrics) -> None:
        self._shelf, self._make, self._at_once, self._limits, self.metrics = shelf, make, at_once, limits, metrics
        self._videos: dict[str, KeptVideo] = {}
        self._line = FairLine()
        self._work: dict[str, asyncio.Task[tuple[State, str | None]]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._background: asyncio.Task[None] | None = None
        self._arriving = Counter[str]()
        self._seconds_each = 10.0
        self.closing = False

    def open(self) -> None:
        """Take up what an earlier desk has left, and begin."""
        for video in self._shelf.load():
            self._videos[video.id] = video
            if not video.ended:
                video.state, video.clips, video.steps = "queued", 0, 0
                self._line.join(video.client, video.id)
        self._background = asyncio.create_task(self._expire())
        self._begin_next()

    @contextmanager
    def place_for(self, client: str) -> Iterator[None]:
        """Hold a place in the queue while a request is uploaded and checked; it is accepted inside, or not at all.

        Raises:
            RefusedError: the queue is full, or the server is about to end.
        """
        if self.closing:
            raise RefusedError(503, "the server is about to end")
        if len(self._line) + self._arriving.total() >= self._limits.queue:
            raise RefusedError(429, f"the queue is full: {self._limits.queue} requests wait")
        if self._line.waiting(client) + self._arriving[client] >= self._limits.queue_per_client:
            raise RefusedError(429, f"{self._limits.queue_per_client} of your requests wait already")
        self._arriving[client] += 1
        try:
            yield
        finally:
            self._arriving -= Counter({client: 1})

    def retry_after_s(self) -> int:
        """When a place in the queue may be free."""
        return max(1, round(self._seconds_each / self._at_once))

    def accept(self, video: KeptVideo) -> None:
        """Put a request, whose uploads lie on the shelf, into the line; see `place_for`.

        Raises:
            RefusedError: the server is about to end.
            OSError: the disk does not take its record.
        """
        if self.closing:
            raise RefusedError(503, "the server is about to end")
        self._shelf.keep(video)
        self._videos[video.id] = video
        self._line.join(video.client, video.id)
        self._begin_next()

    def of_client(self, client: str) -> list[KeptVideo]:
        """A client's requests, the newest first."""
        return [video for video in reversed(self._videos.values()) if video.client == client]

    def place(self, video: KeptVideo) -> int | None:
        """The place in the queue of a request, from 1 on; None if it does not wait."""
        if video.state != "queued":
            return None
        waiting = [name for name in self._work if self._videos[name].state == "queued"]
        return [*waiting, *self._line.order()].index(video.id) + 1

    def find(self, video_id: str, client: str) -> KeptVideo:
        """A client's request.

        Raises:
            RefusedError: it has none of this id.
        """
        video = self._videos.get(video_id)
        if video is None or video.client != client:
            raise RefusedError(404, f"there is no video {video_id[:64]!r}")
        return video

    async def cancel(self, video: KeptVideo, reason: str | None = None) -> None:
        """End a request: one that waits at once, one that is made after its denoising step."""
        if self._line.leave(video.id):
            self._end(video, "cancelled", reason)
        elif (work := self._work.get(video.id)) is not None:
            video.error = reason
            work.cancel()
            await asyncio.wait([work])

    async def fragments(self, video: KeptVideo) -> AsyncIterator[bytes]:
        """The video as fragmented MP4, as it is made; begins with the first bytes that there are.

        Raises:
            RefusedError: it ended without any.
            EOFError: it broke off.
        """
        path, attempt = self._shelf.stream(video.id), video.attempts
        while not video.ended and not _has_bytes(path):
            await self.changed(video)
            attempt = video.attempts
        if not path.exists() and video.state != "done":
            raise RefusedError(409, f"the video is {video.state}{f': {video.error}' if video.error else ''}")
        with (path if path.exists() else self._shelf.content(video.id)).open("rb") as file:
            while True:
                if data := file.read(PIECE_BYTES):
                    yield data
                elif video.ended or video.attempts != attempt:
                    break
                else:
                    await self.changed(video)
        if video.state != "done" or video.attempts != attempt:
            raise EOFError(f"the video is {video.state}")

    async def close(self, patience_s: float) -> None:
        """Take nothing more, end what waits, and give what is being made some time."""
        self.closing = True
        reason = "the server was ended"
        for name in self._line.order():
            await self.cancel(self._videos[name], reason)
        if self._work:
            await asyncio.wait(list(self._work.values()), timeout=patience_s)
        await asyncio.gather(*(self.cancel(self._videos[name], reason) for name in list(self._work)))
        if self._background is not None:
            self._background.cancel()

    def _begin_next(self) -> None:
        while len(self._line) and len(self._work) < self._at_once and not self.closing:
            video = self._videos[self._line.next()]
            work = asyncio.create_task(self._see_through(video))
            self._work[video.id] = work
            # A callback, because a task that is cancelled before its first step runs nothing of its own.
            work.add_done_callback(partial(self._ended, video))
        self._count()

    def _ended(self, video: KeptVideo, work: asyncio.Task[tuple[State, str | None]]) -> None:
        del self._work[video.id]
        if work.cancelled():
            self._end(video, "cancelled", video.error)
        elif (error := work.exception()) is not None:
            logger.error("video %s", video.id, exc_info=error)
            self._end(video, "failed", one_line(error))
        else:
            self._end(video, *work.result())
        self._begin_next()

    def _end(self, video: KeptVideo, state: State, reason: str | None) -> None:
        video.state, video.error, video.ended_at = state, reason, time.time()
        self.metrics.ended.labels(state).inc()
        if state == "done" and video.started_at is not None:
            seconds = video.ended_at - video.started_at
            self._seconds_each += (seconds - self._seconds_each) / 4
            self.metrics.pace.observe(seconds / video.seconds)
        try:
            self._shelf.tidy(video)
            self._shelf.keep(video)
        except OSError:
            # A full disk: it is known here, and made again after a restart.
            logger.exception("video %s", video.id)
        self._tell(video)
        self.drop_old()
        self._count()

    async def _see_through(self, video: KeptVideo) -> tuple[State, str | None]:
        """Make a video, once more where a replica fails; returns its state and why it failed."""
        reason = ""
        for attempt in range(1, ATTEMPTS + 1):
            video.attempts, video.state, video.clips, video.steps = attempt, "queued", 0, 0
            self._tell(video)
            try:
                return await self._attempt(video)
            except Exception as error:
                # Ray and Serve raise many kinds; none is the request's fault.
                reason = one_line(error)
                logger.warning("video %s, attempt %d: %s", video.id, attempt, reason, exc_info=error)
            if attempt < ATTEMPTS:
                self.metrics.retries.inc()
                await asyncio.sleep(RETRY_S * attempt)
        return "failed", f"given up after {ATTEMPTS} attempts; the last one: {reason}"

    async def _attempt(self, video: KeptVideo) -> tuple[State, str | None]:
        stream, content = self._shelf.stream(video.id), self._shelf.content(video.id)
        for path in (stream, content):
            path.unlink(missing_ok=True)
        order = await asyncio.to_thread(self._order, video)
        async with aclosing(self._make(order)) as events:
            async for event in events:
                match event:
                    case Refused(reason=reason):
                        return "failed", reason
                    case News():
                        self._note(video, event, stream)
                    case Piece(data=data):
                        _append(content, data)
        if not content.exists():
            raise RuntimeError("the replica broke off")
        return "done", None

    def _order(self, video: KeptVideo) -> Order:
        return Order(
            portrait=self._shelf.portrait(video.id).read_bytes(),
            speech=self._shelf.speech(video.id).read_bytes(),
            seconds=video.options.seconds,
            prompt=video.options.prompt,
            sampling=video.options.sampling(),
        )

    def _note(self, video: KeptVideo, news: News, stream: Path) -> None:
        progress, now = news.progress, time.time()
        if video.state != "running":
            video.state, video.started_at, video.replica = "running", now, news.pid
            self._shelf.keep(video)
            self._count()
        video.clips, video.num_clips = progress.clips, progress.num_clips
        video.steps, video.num_steps = progress.steps, progress.num_steps
        if news.fragments:
            if not stream.exists():
                self.metrics.first_fragment.observe(now - video.created_at)
            _append(stream, news.fragments)
        self._tell(video)

    def _tell(self, video: KeptVideo) -> None:
        """Wake those who wait for a change of a request."""
        if (news := self._news.pop(video.id, None)) is not None:
            news.set()

    async def changed(self, video: KeptVideo) -> None:
        """Wait for news of a request that has not ended."""
        await self._news.setdefault(video.id, asyncio.Event()).wait()

    def _count(self) -> None:
        running = sum(self._videos[name].state == "running" for name in self._work)
        self.metrics.running.set(running)
        self.metrics.queued.set(len(self._line) + len(self._work) - running)

    def drop_old(self) -> None:
        """Forget what is kept no longer."""
        for video in self._shelf.too_old(self._videos.values()):
            del self._videos[video.id]
            self._shelf.drop(video.id)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_S)
            self.drop_old()


def one_line(error: BaseException) -> str:
    """An error's own words; Ray puts tracebacks above them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def _has_bytes(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
