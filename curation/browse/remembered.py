"""Results of a slow function that are kept for a while: those used last, up to a size."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """A function that is called once for each argument, by however many threads, as long as its result is kept.

    Args:
        make: the function. What it raises is raised, and not kept.
        size_of: the size of a result.
        most: of all results that are kept together. The last one is kept whatever its size.
    """

    def __init__(self, make: Callable[[K], V], *, size_of: Callable[[V], int], most: int) -> None:
        self._make = make
        self._size_of = size_of
        self._most = most
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._making: defaultdict[K, threading.Lock] = defaultdict(threading.Lock)

    def __call__(self, key: K) -> V:
        """The result for `key`."""
        with self._lock:
            turn = self._making[key]
        with turn:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return self._kept[key][0]
            made = self._make(key)
            with self._lock:
                self._keep(key, made)
        return made

    def _keep(self, key: K, made: V) -> None:
        size = self._size_of(made)
        self._kept[key] = (made, size)
        self._size += size
        while self._size > self._most and len(self._kept) > 1:
            oldest, (_, dropped) = self._kept.popitem(last=False)
            self._making.pop(oldest, None)
            self._size -= dropped
