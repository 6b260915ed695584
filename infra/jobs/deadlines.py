"""Deadlines of the units that a process works on: the process ends when one of them gives no sign of life for too long.

The watchdog is a C thread, so it works even while a library hangs and holds the interpreter's lock. A process has one,
and it may work on many units in threads: the watchdog waits for the earliest deadline.
"""

from __future__ import annotations

import faulthandler
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

LATE_S: Final = 1e-3
"""What the watchdog still waits when a deadline has passed by the time that it is armed."""


SIGN_INTERVAL_S: Final = 1.0
"""Signs of life that follow each other more closely are not passed on."""


@dataclass(eq=False, kw_only=True, slots=True)
class _Deadline:
    """Of one unit."""

    seconds: float
    on_sign: Callable[[], None]
    ends_s: float = 0.0
    _passed_on_s: float = 0.0

    def pass_on(self) -> None:
        """Let whoever watches the run know that the unit is alive."""
        now_s = time.monotonic()
        if now_s - self._passed_on_s >= SIGN_INTERVAL_S:
            self._passed_on_s = now_s
            self.on_sign()


class _OfThread(threading.local):
    """The deadline of the unit that this thread works on."""

    deadline: _Deadline | None = None


class _Watchdog:
    """The deadlines of this process, and the C thread that waits for the earliest."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.deadlines: set[_Deadline] = set()

    def start_anew(self, deadline: _Deadline) -> None:
        with self.lock:
            deadline.ends_s = time.monotonic() + deadline.seconds
            self.deadlines.add(deadline)
            self._arm()

    def start_all_anew(self) -> tuple[_Deadline, ...]:
        with self.lock:
            for deadline in self.deadlines:
                deadline.ends_s = time.monotonic() + deadline.seconds
            self._arm()
            return tuple(self.deadlines)

    def drop(self, deadline: _Deadline) -> None:
        with self.lock:
            self.deadlines.discard(deadline)
            self._arm()

    def _arm(self) -> None:
        if self.deadlines:
            left_s = min(deadline.ends_s for deadline in self.deadlines) - time.monotonic()
            faulthandler.dump_traceback_later(max(left_s, LATE_S), exit=True)
        else:
            faulthandler.cancel_dump_traceback_later()


_WATCHDOG: Final = _Watchdog()
_OF_THREAD: Final = _OfThread()


@contextmanager
def deadline(seconds: float, on_sign: Callable[[], None] = lambda: None) -> Iterator[Callable[[], None]]:
    """End this process, with every thread's stack in its log, if the block takes longer.

    Yields a function that starts the time anew.

    Args:
        seconds: how long the block may take without a sign of life.
        on_sign: called now and then when `sign_of_life` or `put_off_deadlines` has started the time anew.
    """
    own = _Deadline(seconds=seconds, on_sign=on_sign)
    _WATCHDOG.start_anew(own)
    _OF_THREAD.deadline = own
    try:
        yield lambda: _WATCHDOG.start_anew(own)
    finally:
        _OF_THREAD.deadline = None
        _WATCHDOG.drop(own)


def sign_of_life() -> None:
    """Start the time of the unit that this thread works on anew; nothing where it works on none."""
    own = _OF_THREAD.deadline
    if own is not None:
        _WATCHDOG.start_anew(own)
        own.pass_on()


def put_off_deadlines() -> None:
    """Start the time of every unit of this process anew: they may all wait for a server, and none is to blame."""
    for each in _WATCHDOG.start_all_anew():
        each.pass_on()
