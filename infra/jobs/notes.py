"""What a worker has to tell the person who watches the run, such as a batch that had to be halved."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Listener = Callable[[str], None]


class _Listening:
    """Who hears the notes of this process."""

    listener: Listener | None = None


def tell(line: str, stream: TextIO | None = None) -> None:
    """Pass one line on to whoever listens in this process; to `stream`, by default standard error, if nobody does."""
    if _Listening.listener is not None:
        _Listening.listener(line)
    else:
        print(f"soul: {line}", file=stream or sys.stderr, flush=True)


def listen(listener: Listener | None) -> None:
    """Have `listener` called with every line from now on; None for nobody."""
    _Listening.listener = listener


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Have `listener` called with every line inside."""
    before = _Listening.listener
    listen(listener)
    try:
        yield
    finally:
        listen(before)
