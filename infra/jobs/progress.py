"""What is counted of a run, and what its silence means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from infra.jobs.tally import Counted

MAX_FAILURES: Final = 50


@dataclass(kw_only=True, slots=True)
class Progress:
    """Totals of a run so far."""

    units: int = 0
    failed: int = 0
    clips: int = 0
    kept: int = 0
    crops: int = 0
    """Of the clips, those that were cropped out of others."""
    rejected: Counter[str] = field(default_factory=Counter)
    """By reason."""
    video_s: float = 0.0
    """Seconds of video that the units are made of."""
    kept_video_s: float = 0.0
    """Seconds of the clips that are kept; crops count beside what they are made from."""
    num_bytes: int = 0
    """Written by commits."""
    commits: int = 0
    """Shards, where a commit makes one."""
    failures: dict[str, str] = field(default_factory=dict)
    """Units that failed last, `MAX_FAILURES` at most, and why, in one line."""
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
    counts: dict[Counted, float] = field(default_factory=dict)
    """What workers have counted besides; see `infra.jobs.tally`."""

    def merge(self, other: Progress) -> None:
        """Add another's totals."""
        self.units += other.units
        self.failed += other.failed
        self.clips += other.clips
        self.kept += other.kept
        self.crops += other.crops
        self.rejected += other.rejected
        self.video_s += other.video_s
        self.kept_video_s += other.kept_video_s
        self.num_bytes += other.num_bytes
        self.commits += other.commits
        latest = [*self.failures.items(), *other.failures.items()][-MAX_FAILURES:]
        self.failures = dict(latest)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loads:
    """How often the actors of a pool have loaded what they need."""

    number: int = 0
    seconds: float = 0.0
    """Over all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """How long a run has shown no sign of life, and what it may be waiting for."""

    seconds: float
    """Since the last sign of life."""
    in_hand: Mapping[str, float]
    """Units that a worker has taken up, or that are being committed → seconds since their own last sign."""
    ready: frozenset[str]
    """Pools in which a worker has started."""
    loads: Mapping[str, Loads] = field(default_factory=dict)
    """By pool."""
    oldest: str | None = None
    """The unit that a worker took up longest ago of those in hand."""
    oldest_s: float = 0.0
    """Seconds since then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """What a worker that is gone has left behind of the units that it was given."""

    begun: frozenset[str]
    """Those that it had taken up and not handed on."""
    committed: frozenset[str]
    """Those of which nothing is left to do."""
    stages: Mapping[str, str] = field(default_factory=dict)
    """The stages that units were in, as far as that was heard."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Committed units that have failed, and why."""
