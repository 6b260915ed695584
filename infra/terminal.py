"""Keeping the processes that we start off the terminal: it belongs to the process that talks to people."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

FOR_BACKGROUND = (signal.SIGTTIN, signal.SIGTTOU)
"""Signals that a terminal sends to background processes that read from it or set its modes; both stop the process."""


@contextmanager
def off_the_terminal() -> Iterator[None]:
    """Inside, processes that are started, and their children, neither read from the terminal nor write errors to it.

    Ray puts its workers into process groups of their own, which are in the background of the terminal that they
    inherit. Job control stops a worker that reads from the terminal or sets its modes, as FFmpeg's command does when it
    starts; the worker never goes on and prints nothing. Afterwards this process has its standard input, its standard
    error and its signal handlers back. What it writes to standard error inside is lost.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    with _null(0, os.O_RDONLY), _null(2, os.O_WRONLY), _unstoppable():
        yield


@contextmanager
def _null(descriptor: int, mode: int) -> Iterator[None]:
    """Put `/dev/null` in a descriptor's place."""
    try:
        kept = os.dup(descriptor)
    except OSError:
        kept = None  # closed, as some services start their children
    null = os.open(os.devnull, mode)
    if null == descriptor:
        os.set_inheritable(null, True)  # noqa: FBT003 (has no name)
    else:
        os.dup2(null, descriptor)
        os.close(null)
    try:
        yield
    finally:
        if kept is None:
            os.close(descriptor)
        else:
            os.dup2(kept, descriptor)
            os.close(kept)


@contextmanager
def _unstoppable() -> Iterator[None]:
    """Ignore the terminal's signals, for libraries that open it by name: processes started inside inherit this."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in FOR_BACKGROUND}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
