"""Averages of what a training measures, over ranks and steps."""

from __future__ import annotations

from training.distributed.ranks import Ranks


class Averages:
    """Weighted means of named values, over all that was added on all ranks since they were last collected."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}

    def add(self, name: str, total: float, count: float = 1.0) -> None:
        """Add `count` values whose sum is `total`."""
        before, number = self._sums.get(name, (0.0, 0.0))
        self._sums[name] = (before + total, number + count)

    def merge(self, other: Averages) -> None:
        """Add another's values."""
        for name, (total, count) in other._sums.items():
            self.add(name, total, count)

    def means(self) -> dict[str, float]:
        """The means on this rank so far; nothing is forgotten."""
        return {name: total / count for name, (total, count) in self._sums.items() if count}

    def collect(self, ranks: Ranks) -> dict[str, float]:
        """The means over all ranks, by name, of what was added since the last call. All ranks call it."""
        merged: dict[str, tuple[float, float]] = {}
        for part in ranks.gather(self._sums):
            for name, (total, count) in part.items():
                before, number = merged.get(name, (0.0, 0.0))
                merged[name] = (before + total, number + count)
        self._sums = {}
        return {name: total / count for name, (total, count) in sorted(merged.items()) if count}
