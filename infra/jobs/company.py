"""Units that are in work in one process at the same time, and units that must be alone there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Company:
    """Lets any number of units in, or a single one that must be alone.

    When a worker dies or hangs, nobody knows which of its units did it. All of them have lost an attempt, and each is
    tried alone from then on: the one to blame takes no other unit with it, and no innocent one is given up for it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._alone = False
        self._wanting_alone = 0

    @contextmanager
    def joined(self, *, alone: bool) -> Iterator[None]:
        """Wait for a place, and keep it for the block.

        Who must be alone waits until the others have left, and nobody comes in meanwhile.
        """
        with self._changed:
            self._wanting_alone += alone
            self._changed.wait_for(self._is_empty if alone else self._is_open)
            self._wanting_alone -= alone
            self._alone = alone
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._alone = False
                self._changed.notify_all()

    def _is_empty(self) -> bool:
        return self._inside == 0

    def _is_open(self) -> bool:
        return not self._alone and not self._wanting_alone
