"""What a run tells while it goes on: attempts and progress, kept by one actor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import ray


@dataclass(kw_only=True, slots=True)
class Progress:
    """Totals so far."""

    units: int = 0
    failed: int = 0
    clips: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """By reason."""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    in_work: int = 0
    """Clips finished within units that are not committed yet, where the job tells of them."""

    def merge(self, other: Progress) -> None:
        """Add another's totals."""
        self.units += other.units
        self.failed += other.failed
        self.clips += other.clips
        self.kept += other.kept
        self.rejected += other.rejected
        for stage, value in other.stage_seconds.items():
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + value


class Ledger:
    """Counts attempts at each unit within this run, and collects progress.

    It lives as long as the driver, so a killed driver does not count against the files it was working on.
    """

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()
        self.in_work: Counter[str] = Counter()
        self.progress = Progress()

    def begin(self, pool: str, unit: str) -> int:
        """Note that a worker of `pool` takes up `unit`; returns how many attempts that makes."""
        self.in_work.pop(unit, None)
        self.attempts[pool, unit] += 1
        return self.attempts[pool, unit]

    def end(self, pool: str, unit: str) -> None:
        """Note that the worker came back."""
        self.attempts.pop((pool, unit), None)

    def advance(self, unit: str) -> None:
        """Note that one more clip of the unit is finished."""
        self.in_work[unit] += 1

    def committed(self, units: Sequence[str], progress: Progress) -> None:
        """Add the totals of units that are committed together."""
        for unit in units:
            self.in_work.pop(unit, None)
        self.progress.merge(progress)

    def snapshot(self) -> Progress:
        """Totals so far."""
        return replace(self.progress, in_work=self.in_work.total())


def start_ledger() -> ray.actor.ActorHandle:
    """A ledger that takes no CPU."""
    return ray.remote(num_cpus=0)(Ledger).remote()
