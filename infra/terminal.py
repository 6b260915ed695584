"""Keeping the processes that we start off the terminal, which belongs to the one that people talk to."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

FOR_BACKGROUND = (signal.SIGTTIN, signal.SIGTTOU)
"""What a terminal sends to processes in the background that read from it or set its modes; both stop them."""


@contextmanager
def off_the_terminal() -> Iterator[None]:
    """Processes started inside, and theirs, neither read from the terminal nor write errors to it.

    Ray puts its workers into process groups of their own. These are in the background of the terminal that they
    inherit, and a worker that reads from it, or sets its modes as FFmpeg's command does on starting, is stopped by job
    control for good and without a word. This process has its own standard input and error output, and its signals,
    back afterwards; what it writes to the latter inside is lost.
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
    """For libraries that open the terminal by name: what is ignored here is ignored by what is started here."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in FOR_BACKGROUND}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
