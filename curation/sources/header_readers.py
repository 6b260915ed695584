"""Headers of many files, read by helper processes: a broken file may crash or hang the library that reads it.

Each helper has one file at a time. So a crash or a hang costs that file's helper alone, and no other file is read
again.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from curation.sources.headers import Header, read_header
from curation.sources.small_reads import Sign
from infra.storage.settings import StorageSettings

FILES_WORTH_A_HELPER: Final = 4
"""To start a helper takes as long as to read a few headers."""
START_TIMEOUT_S: Final = 120.0
"""A helper that is not ready by then never will be."""

Read = Callable[[str, int | None, Callable[[Sign], None]], Header]


class HelperError(OSError):
    """The processes that read headers do not start on this machine."""


@dataclass(frozen=True, slots=True)
class HeaderFile:
    """A file whose header is wanted, as its listing has it."""

    uri: str
    size: int | None = None
    """Bytes; None where nobody has said."""
    stamp: str | None = None
    """The store's tag of its content, or when it was changed; None where nobody has said."""


def read_headers(
    files: Iterable[HeaderFile], *, num_helpers: int, timeout_s: float, read: Read = read_header
) -> Iterator[tuple[HeaderFile, Header]]:
    """Read headers, and give each as soon as it is there, in any order.

    A file that kills its helper, or takes longer than it may, cannot be read. Where a store has not answered for half
    of that time, the file is one that could not be reached.

    Args:
        files: whose headers are wanted.
        num_helpers: helper processes at most.
        timeout_s: seconds that a header may take.
        read: reads one header, in a helper.

    Raises:
        HelperError: no helper starts.
    """
    waiting, helpers = iter(files), list[_Helper]()
    try:
        taken = 0
        file = next(waiting, None)
        while file is not None or any(helper.file is not None for helper in helpers):
            while file is not None:
                helper = next((each for each in helpers if each.file is None), None)
                if helper is None and len(helpers) < min(num_helpers, 1 + taken // FILES_WORTH_A_HELPER):
                    helper = _Helper.start(read, timeout_s)
                    helpers.append(helper)
                if helper is None:
                    break
                helper.give(file)
                taken, file = taken + 1, next(waiting, None)
            for helper in _with_news(helpers):
                given, header = helper.file, helper.answer()
                if header is not None and given is not None:
                    yield given, header
                if helper.ended:
                    helpers.remove(helper)
    finally:
        for helper in helpers:
            helper.end()


def _with_news(helpers: list[_Helper]) -> list[_Helper]:
    """The helpers that have said something, have ended, or are late."""
    busy = [helper for helper in helpers if helper.file is not None]
    next_s = min(helper.deadline_s for helper in busy) - time.monotonic()
    said = set(wait([each for helper in busy for each in (helper.pipe, helper.process.sentinel)], max(0.0, next_s)))
    now_s = time.monotonic()
    return [
        helper for helper in busy
        if helper.pipe in said or helper.process.sentinel in said or helper.deadline_s <= now_s
    ]  # fmt: skip


@dataclass(eq=False, kw_only=True, slots=True)
class _Helper:
    """One process, and what it is doing."""

    process: BaseProcess
    pipe: Connection[Any, Any]
    timeout_s: float
    file: HeaderFile | None = None
    is_ready: bool = False
    asking_since_s: float | None = None
    """Since when it has been waiting for a store."""
    deadline_s: float = field(default_factory=lambda: time.monotonic() + START_TIMEOUT_S)
    ended: bool = False

    @classmethod
    def start(cls, read: Read, timeout_s: float) -> _Helper:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, read, timeout_s, StorageSettings.here()), daemon=True)
        process.start()
        theirs.close()
        return cls(process=process, pipe=ours, timeout_s=timeout_s)

    def give(self, file: HeaderFile) -> None:
        self.file, self.asking_since_s = file, None
        if self.is_ready:
            self.deadline_s = time.monotonic() + self.timeout_s
        with suppress(OSError):  # it has just died, which is seen when its answer is waited for
            self.pipe.send((file.uri, file.size))

    def answer(self) -> Header | None:
        """The header of its file, if it is there by now; the helper has then no file, or has ended.

        Raises:
            HelperError: it never began.
        """
        try:
            while self.pipe.poll():
                said = self.pipe.recv()
                if isinstance(said, Header):
                    self.file, self.deadline_s = None, float("inf")
                    return said
                self._note(said)
        except (EOFError, OSError):
            pass
        else:
            if self.process.is_alive() and time.monotonic() < self.deadline_s:
                return None
        is_late = self.process.is_alive() and time.monotonic() >= self.deadline_s
        self.end()
        if not self.is_ready:
            raise HelperError(f"the processes that read headers do not start (exit status {self.process.exitcode})")
        since_s, self.file = self.asking_since_s, None
        if is_late and since_s is not None and time.monotonic() - since_s >= self.timeout_s / 2:
            return Header(fault="the store does not answer")
        return Header()

    def _note(self, sign: Sign) -> None:
        self.asking_since_s = time.monotonic() if sign is Sign.ASKS else None
        if sign is Sign.READY:
            self.is_ready = True
            self.deadline_s = time.monotonic() + self.timeout_s

    def end(self) -> None:
        self.ended = True
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection[Any, Any], read: Read, timeout_s: float, settings: StorageSettings) -> None:
    """What a helper does: read a header after the other, until nobody asks for one any more."""
    # The process that asks ends the helpers itself, also after ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings.apply()
    silence = Path(os.devnull).open("w")  # noqa: SIM115 (for as long as the process lives)
    pipe.send(Sign.READY)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            uri, size = pipe.recv()
            # A process that hangs after its parent was killed would stay for good.
            faulthandler.dump_traceback_later(2 * timeout_s + 60, exit=True, file=silence)
            header = read(uri, size, pipe.send)
            faulthandler.cancel_dump_traceback_later()
            pipe.send(header)
