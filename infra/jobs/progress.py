"""What is counted of a run, and what its silence means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class Progress:
    """Totals of a run so far."""

    units: int = 0
    failed: int = 0
    clips: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """By reason."""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    in_work: int = 0
    """Clips of units that are not committed yet, where the job reports them."""
    units_in_work: int = 0
    """Units that are begun and not finished."""
    units_finished: int = 0
    """Units that wait for their commit."""
    waiting: Counter[str] = field(default_factory=Counter)
    """Units that are left to the next run, by reason."""
    notes: list[str] = field(default_factory=list)
    """What workers had to tell so far, each line once."""

    def merge(self, other: Progress) -> None:
        """Add another's totals."""
        self.units += other.units
        self.failed += other.failed
        self.clips += other.clips
        self.kept += other.kept
        self.rejected += other.rejected
        for stage, value in other.stage_seconds.items():
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + value


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """How long a run has shown no sign of life, and what it may be waiting for."""

    seconds: float
    """Since the last sign of life."""
    in_hand: Mapping[str, float]
    """Units that a worker has taken up, or that are being committed → seconds since their own last sign."""
    ready: frozenset[str]
    """Pools in which a worker has started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """What a worker that is gone has left behind of the units that it was given."""

    begun: frozenset[str]
    """Those that it had taken up and not handed on."""
    committed: frozenset[str]
    """Those of which nothing is left to do."""
