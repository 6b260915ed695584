"""How many samples a score is based on, and why the others have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NOT_SCORED = "not scored"
"""Reason of a sample that has no row at all: it was never tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """`num_scored` of `num_total` samples."""

    num_scored: int
    num_total: int
    reasons: Mapping[str, int]
    """Why there is no score → how often, the most frequent first."""

    @property
    def is_complete(self) -> bool:
        """Whether every sample has a score."""
        return self.num_scored == self.num_total

    def __str__(self) -> str:
        counted = ", ".join(f"{count} {reason}" for reason, count in self.reasons.items())
        return f"n = {self.num_scored}/{self.num_total}" + (f"; {counted}" if counted else "")


def cover(samples: Iterable[str], scored: Iterable[str], reasons: Mapping[str, str]) -> Coverage:
    """Count what became of every sample.

    Args:
        samples: all that should have a score.
        scored: those that have one.
        reasons: sample → why it has none. A sample in neither was never tried.
    """
    every, done = set(samples), set(scored)
    counts = Counter(reasons.get(sample, NOT_SCORED) for sample in every - done)
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return Coverage(num_scored=len(every & done), num_total=len(every), reasons=ordered)
