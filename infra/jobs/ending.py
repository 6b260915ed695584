"""Ending a run from outside: a machine that is taken away sends SIGTERM a minute or two before."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def sigterm_told(tell: Callable[[], None]) -> Iterator[None]:
    """Inside, the first SIGTERM only calls `tell`; a second one does what one did before.

    `tell` runs between any two steps of the main thread, so it may do no more than set a value.
    """
    before = signal.getsignal(signal.SIGTERM)
    is_ours = threading.current_thread() is threading.main_thread() and before is not signal.SIG_IGN

    def hear(*_: object) -> None:
        signal.signal(signal.SIGTERM, before)
        tell()

    if is_ours:
        signal.signal(signal.SIGTERM, hear)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, before)
