"""Calls that wait for a store, many at once, with no more results in memory than are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

from infra.storage.files import is_local

T = TypeVar("T")
R = TypeVar("R")

NUM_REQUESTS: Final = 16
"""Files of a store that are read at once: each waits for an answer most of the time."""


def requests_at_once(path: str) -> int:
    """How many files below a path or URI are best read at the same time."""
    return 1 if is_local(path) else NUM_REQUESTS


def in_parallel(function: Callable[[T], R], items: Iterable[T], num_threads: int) -> Iterator[R]:
    """Results in the order of the items. At most twice as many calls as threads are ahead of the reader.

    Raises:
        Exception: the first one that a call raises; calls that have not begun by then are not made.
    """
    if num_threads <= 1:
        yield from map(function, items)
        return
    waiting = iter(items)
    with ThreadPoolExecutor(num_threads) as threads:
        ahead: deque[Future[R]] = deque(threads.submit(function, item) for item in islice(waiting, 2 * num_threads))
        try:
            while ahead:
                result = ahead.popleft().result()
                ahead.extend(threads.submit(function, item) for item in islice(waiting, 1))
                yield result
        finally:
            # Ctrl-C does not wait for what nobody reads any more.
            threads.shutdown(wait=False, cancel_futures=True)
