"""Making the next item while the last one is used."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event
from typing import TypeVar, cast

T = TypeVar("T")


def ahead(items: Generator[T, None, None], stopping: Event | None = None) -> Generator[T, None, None]:
    """The same items in the same order, each made in a thread while the one before it is used.

    At most one item waits. What the thread raises is raised here, in the item's place. However the iterator ends (at
    its last item, by an error, by ctrl-C, closed or dropped), its thread has ended too: an item that was begun is
    finished first.

    Args:
        items: what is made; only the thread runs it, and it is closed when the thread has ended.
        stopping: set when no more items are asked for, so that a long item can break off.
    """
    end = object()
    # Each item is a task of its own: the thread never waits for room, which would keep the program from ending.
    with closing(items), ThreadPoolExecutor(1) as pool:
        try:
            coming = pool.submit(next, items, end)
            while (item := coming.result()) is not end:
                coming = pool.submit(next, items, end)
                yield cast("T", item)
                del item  # not held while the next one is waited for
        finally:
            if stopping is not None:
                stopping.set()
