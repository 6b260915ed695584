"""The ledger of a run: one actor that counts attempts at each unit and adds up what all workers did and told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import ray

from infra.jobs.cluster import free_name, logs_directory

MAX_NOTES = 100
"""Different notes that are shown; more are only in the workers' logs."""


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
    in_hand: tuple[str, ...]
    """Units that a worker has taken up, or that are being committed."""
    ready: frozenset[str]
    """Pools in which a worker has started."""


class Ledger:
    """Counts attempts at each unit within this run, and collects progress.

    It lives as long as the driver, so a killed driver does not count against the files it was working on.
    """

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()  # by pool and unit; those that have not returned
        self.results: Counter[tuple[str, str]] = Counter()  # results that were returned and have not come further
        self.in_hand: set[tuple[str, str]] = set()
        self.returned: dict[str, str] = {}  # unit → the pool that has returned it, until its result has come further
        self.in_work: Counter[str] = Counter()
        self.begun: set[str] = set()
        self.finished: set[str] = set()
        self.writing: set[str] = set()
        self.ready: set[str] = set()
        self.waiting: dict[str, str] = {}
        self.done: set[str] = set()
        self.mistake: str | None = None
        self.notes: dict[str, None] = {}
        self.progress = Progress()
        self._last_sign_s = time.monotonic()

    def started(self, pool: str) -> None:
        """Note that a worker of `pool` has loaded what it needs."""
        self.sign()
        self.ready.add(pool)

    def begin(self, pool: str, unit: str) -> int:
        """Note that a worker of `pool` takes up `unit`; returns how many attempts that makes.

        Only what comes after a pool shows that its result got there: a worker may die while it passes one on. Lost
        results and lost work are counted apart, and the larger number holds: a result may be lost because the worker
        died over the next unit, which is no reason to give up one that was tried anew for another's fault before.
        """
        self.sign()
        self._forget(unit)
        if self.returned.get(unit, pool) != pool:
            self._arrived(unit)
        self.begun.add(unit)
        self.in_hand.add((pool, unit))
        self.attempts[pool, unit] += 1
        return max(self.attempts[pool, unit], self.results[pool, unit] + 1)

    def sign(self) -> None:
        """Note that a worker is alive."""
        self._last_sign_s = time.monotonic()

    def num_attempts(self, pool: str, unit: str) -> int:
        """How many workers of `pool` have taken up `unit` without a result that got further."""
        return self.attempts[pool, unit] + self.results[pool, unit]

    def is_committed(self, unit: str) -> bool:
        """Whether nothing is left to do of a unit that is handed out again."""
        return unit in self.done

    def wait(self, pool: str, unit: str, reason: str) -> None:
        """Note that a worker of `pool` cannot go on with `unit`, so that it is left to the next run."""
        self.sign()
        self._forget(unit)
        self.in_hand.discard((pool, unit))
        self._forgive(pool, unit)
        self.waiting[unit] = reason

    def note(self, line: str) -> None:
        """Keep what a worker has to tell."""
        self.sign()
        if len(self.notes) < MAX_NOTES:
            self.notes[line] = None
        elif line not in self.notes:
            self.notes[f"more notes of the workers are in {logs_directory()}"] = None

    def end(self, pool: str, unit: str, *, finished: bool) -> None:
        """Note that the worker has returned, and whether the unit now waits only for its commit."""
        self.sign()
        self.in_hand.discard((pool, unit))
        self.returned[unit] = pool
        self.attempts[pool, unit] -= 1
        self.results[pool, unit] += 1
        if unit in self.done:
            self._arrived(unit)
        if finished:
            self.begun.discard(unit)
            self.finished.add(unit)

    def advance(self, unit: str) -> None:
        """Note one more clip of the unit."""
        self.sign()
        self.in_work[unit] += 1

    def write(self, units: Sequence[str]) -> None:
        """Note that units are being committed."""
        self.sign()
        self.writing.update(units)

    def committed(self, units: Sequence[str], progress: Progress) -> None:
        """Add the totals of units that are committed together; once, if a worker died before it could say so."""
        self.sign()
        for unit in units:
            self._forget(unit)
            self._arrived(unit)
            self.finished.discard(unit)
            self.writing.discard(unit)
        if not self.done.issuperset(units):
            self.progress.merge(progress)
            self.done.update(units)

    def refuse(self, mistake: str) -> None:
        """Note a person's mistake that a worker finds when it starts: of its error, Ray passes on only the text."""
        self.mistake = self.mistake or mistake

    def refusal(self) -> str | None:
        """The first such mistake."""
        return self.mistake

    def snapshot(self) -> Progress:
        """Totals so far."""
        return replace(
            self.progress,
            in_work=self.in_work.total(),
            units_in_work=len(self.begun),
            units_finished=len(self.finished),
            waiting=Counter(self.waiting.values()),
            notes=list(self.notes),
        )

    def silence(self) -> Silence:
        """How long nothing has happened."""
        return Silence(
            seconds=time.monotonic() - self._last_sign_s,
            in_hand=tuple(sorted({unit for _, unit in self.in_hand} | self.writing)),
            ready=frozenset(self.ready),
        )

    def _arrived(self, unit: str) -> None:
        """The result of the pool that has returned the unit last has come further."""
        pool = self.returned.pop(unit, None)
        if pool is not None:
            self._forgive(pool, unit)

    def _forgive(self, pool: str, unit: str) -> None:
        """No attempt counts any more."""
        self.attempts.pop((pool, unit), None)
        self.results.pop((pool, unit), None)

    def _forget(self, unit: str) -> None:
        """Of a unit that begins anew or is done with."""
        self.in_work.pop(unit, None)
        self.begun.discard(unit)
        self.waiting.pop(unit, None)


def start_ledger(job: str) -> ray.actor.ActorHandle:
    """Start a ledger; it reserves no CPU."""
    return ray.remote(num_cpus=0)(Ledger).options(name=free_name(f"{job}/ledger")).remote()
