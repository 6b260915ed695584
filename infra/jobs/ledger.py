"""The ledger of a run: one actor that hears from all workers what they do, and adds up what is committed.

It lives on the driver's node and as long as the driver, so no other node can end a run, and a killed driver does not
count against the files that were in work.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from infra.jobs.cluster import free_name, logs_directory
from infra.jobs.gauges import RunMetrics, StageTime
from infra.jobs.progress import Left, Loads, Progress, Silence
from infra.jobs.status import RunStatus
from infra.jobs.tally import Counted
from infra.jobs.unit_log import line, write

ENDING_TIMEOUT_S: Final = 10.0
TELL_EVERY_S: Final = 10.0
"""Between two lines with the totals, which Ray's dashboard shows as the ledger's log."""
MAX_NOTES = 100
"""Different notes that are shown; more are only in the workers' logs."""


class Ledger:
    """Hears of every unit from the worker that takes it up until it is committed."""

    def __init__(self) -> None:
        self.in_hand: dict[str, float] = {}  # unit → when it gave its last sign of life
        self.begun: dict[str, float] = {}  # unit in hand → when it was taken up
        self.stages: dict[str, str] = {}  # unit in hand → the stage that it is in
        self.clips: Counter[str] = Counter()  # by unit that is not committed
        self.ready: set[str] = set()
        self.loads: dict[str, Loads] = {}
        self.done: set[str] = set()
        self.mistake: str | None = None
        self.notes: dict[str, None] = {}
        self.progress = Progress()
        self._last_sign_s = time.monotonic()
        self._metrics: RunMetrics | None = None
        self._told_s = 0.0

    def started(self, pool: str, seconds: float = 0.0) -> None:
        """Note that a worker of `pool` has loaded what it needs, and how long that took."""
        self.sign()
        self.ready.add(pool)
        before = self.loads.get(pool, Loads())
        self.loads[pool] = Loads(number=before.number + 1, seconds=before.seconds + seconds)

    def begin(self, units: Sequence[str]) -> None:
        """Note that a worker takes units up, or begins to commit them."""
        self.sign(*units)
        self.begun.update(dict.fromkeys(units, self._last_sign_s))

    def enter(self, unit: str, stage: str) -> None:
        """Note the stage that a unit is in now."""
        self.sign(unit)
        self.stages[unit] = stage

    def sign(self, *units: str) -> None:
        """Note that a worker is alive, and that it works on these units."""
        self._last_sign_s = time.monotonic()
        self.in_hand.update(dict.fromkeys(units, self._last_sign_s))

    def advance(self, unit: str) -> None:
        """Note one more clip of the unit."""
        self.sign(unit)
        self.clips[unit] += 1

    def end(self, units: Sequence[str], counts: Mapping[Counted, float] | None = None) -> None:
        """Note that a worker has done with units, which go on elsewhere, and what it has counted meanwhile."""
        self.sign()
        for unit in units:
            for known in (self.in_hand, self.begun, self.stages):
                known.pop(unit, None)
        self.count(counts or {})

    def count(self, counts: Mapping[Counted, float]) -> None:
        """Add to what workers count."""
        for name, value in counts.items():
            self.progress.counts[name] = self.progress.counts.get(name, 0.0) + value

    def committed(
        self, units: Sequence[str], progress: Progress, counts: Mapping[Counted, float] | None = None
    ) -> None:
        """Add the totals of units that are committed together; once, if a worker died before it could say so."""
        self.forget(units, counts)
        if not self.done.issuperset(units):
            self.progress.merge(progress)
            self.done.update(units)

    def forget(self, units: Sequence[str], counts: Mapping[Counted, float] | None = None) -> None:
        """Note that units are done with for this run, or will begin anew: their clips no longer count."""
        self.end(units, counts)
        for unit in units:
            self.clips.pop(unit, None)

    def left(self, units: Sequence[str]) -> Left:
        """What became of the units of a worker that is gone."""
        begun = frozenset(unit for unit in units if unit in self.in_hand)
        committed = self.done.intersection(units)
        stages = {unit: self.stages[unit] for unit in units if unit in self.stages}
        failures = {unit: self.progress.failures[unit] for unit in committed if unit in self.progress.failures}
        self.forget(units)
        return Left(begun=begun - committed, committed=frozenset(committed), stages=stages, failures=failures)

    def note(self, line: str) -> None:
        """Keep what a worker has to tell."""
        self.sign()
        if len(self.notes) < MAX_NOTES:
            self.notes[line] = None
        elif line not in self.notes:
            self.notes[f"more notes of the workers are in {logs_directory()}"] = None

    def refuse(self, mistake: str) -> None:
        """Note a person's mistake that a worker finds when it starts: of its error, Ray passes on only the text."""
        self.mistake = self.mistake or mistake

    def refusal(self) -> str | None:
        """The first such mistake."""
        return self.mistake

    def snapshot(self, settled: Sequence[str] = ()) -> tuple[Progress, Silence]:
        """Totals so far, without what the driver alone knows, and how long nothing has happened.

        Args:
            settled: committed units of which the driver knows: nobody will ask for them any more.
        """
        self.done.difference_update(settled)
        now_s = time.monotonic()
        oldest = min(self.begun, key=lambda unit: self.begun[unit], default=None)
        silence = Silence(
            seconds=now_s - self._last_sign_s,
            in_hand={unit: now_s - last_s for unit, last_s in self.in_hand.items()},
            ready=frozenset(self.ready),
            loads=dict(self.loads),
            oldest=oldest,
            oldest_s=0.0 if oldest is None else now_s - self.begun[oldest],
        )
        return replace(self.progress, in_work=self.clips.total(), notes=list(self.notes)), silence

    def publish(self, status: RunStatus, stage_times: Sequence[StageTime] = ()) -> None:
        """Set the metrics of the run to its status, and add how long stages took on units."""
        if self._metrics is None:
            self._metrics = RunMetrics()
        self._metrics.publish(status, stage_times)
        if status.ended is not None or status.now - self._told_s >= TELL_EVERY_S:
            self._told_s = status.now
            totals = status.progress
            write(line("totals", units=status.units, clips=totals.clips, kept=totals.kept), sys.stdout)


def start_ledger(job: str) -> ray.actor.ActorHandle:
    """Start a ledger on this process's node, where nothing but the end of the driver ends it; it reserves no CPU."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"name": free_name(f"{job}/ledger"), "scheduling_strategy": here}
    return ray.remote(num_cpus=0)(Ledger).options(**options).remote()


def end_ledger(ledger: ray.actor.ActorHandle) -> None:
    """End a ledger. One that ends by itself passes its last metrics on, as a rule; the kill frees its name at once."""
    with suppress(ray.exceptions.RayError):
        ray.get(ledger.__ray_terminate__.remote(), timeout=ENDING_TIMEOUT_S)
    with suppress(ray.exceptions.RayError):
        ray.kill(ledger)
