"""The metrics of a run, published by its ledger: totals are gauges, since a counter is gone with its worker.

Ray gives each name the prefix `ray_` and exports it on the node of the driver. Everything is labelled with the job and
the directory of its run. `infra/README.md` says what is worth watching.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from ray.util import metrics

from infra.jobs import tally
from infra.jobs.status import RunStatus

PREFIX: Final = "soul_"
OF_RUN: Final = ("job_name", "run")
"""Labels of every gauge. (Prometheus means something else by `job`.)"""

GAUGES: Final = {
    "run_info": ("1 for the run that goes on", ("settings",)),
    "run_seconds": ("Seconds since the run began", ()),
    "units": ("Units by state: waiting, in_work, finished (wait for a commit), done, failed, left", ("state",)),
    "units_planned": ("Units that were to be done when the run began", ()),
    "units_done_before": ("Units that earlier runs on the directory have done", ()),
    "clips": ("Clips by outcome: kept, rejected, in_work", ("outcome",)),
    "rejected": ("Clips and sources that were rejected, skipped or failed, by stage and rule", ("stage", "rule")),
    "video_seconds": ("Seconds of video that was read, and of clips that were kept", ("kind",)),
    "written_bytes": ("Bytes that commits have written", ()),
    "shards": ("Commits", ()),
    "attempts": ("Times that a worker was given a unit", ()),
    "lost_units": ("Units that had to begin anew, by what their worker was lost to", ("reason",)),
    "left_units": ("Units that are left to the next run, by the fault of the machine", ("fault",)),
    "idle_seconds": ("Seconds since a unit last came to its end", ()),
    "oldest_unit_seconds": ("Seconds since the unit that is longest in work was taken up", ()),
    "unit_timeout_seconds": ("Seconds without a sign of life after which a worker is ended", ()),
    "nodes": ("Nodes of the cluster", ()),
    "pool_actors": ("Actors of a pool: ready or starting", ("pool", "state")),
    "pool_units": ("Units of a pool: waiting for it, or in hand", ("pool", "state")),
    "pool_places": ("Units that a pool can have in work at once", ("pool",)),
    "loads": ("Times that an actor of a pool has loaded what it needs", ("pool",)),
    "loading_seconds": ("Seconds that this took, over all actors", ("pool",)),
    **tally.NAMES,
}
"""Name → what it means, and its labels besides those of the run."""

Value = tuple[str, tuple[str, ...], float]
"""Name, values of its labels, number."""
StageTime = tuple[str, float]
"""A stage and the wall seconds that it took on one unit."""
BUCKETS_S: Final = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]


class RunMetrics:
    """The metrics of one run in this process.

    How long stages take on a unit is a histogram of the ledger's, too: Ray's agent never forgets that of a worker.
    """

    def __init__(self) -> None:
        self.gauges = {
            name: metrics.Gauge(PREFIX + name, about, (*OF_RUN, *labels)) for name, (about, labels) in GAUGES.items()
        }
        self.stage_times = metrics.Histogram(
            f"{PREFIX}stage_unit_seconds", "Wall time of a stage on one unit", BUCKETS_S, (*OF_RUN, "stage")
        )
        self._told: set[tuple[str, tuple[str, ...]]] = set()

    def publish(self, status: RunStatus, stage_times: Sequence[StageTime] = ()) -> None:
        """Set all gauges to a status; what is no longer there is 0.

        Args:
            status: of now.
            stage_times: of units that have passed stages since the last call.
        """
        of_run = {"job_name": label(status.job), "run": label(status.about.run)}
        gone = dict.fromkeys(self._told, 0.0)
        for name, labels, value in values_of(status):
            gone.pop((name, labels), None)
            self._set(name, labels, of_run, value)
        for (name, labels), value in gone.items():
            self._set(name, labels, of_run, value)
        for stage, seconds in stage_times:
            self.stage_times.observe(seconds, {**of_run, "stage": stage})

    def _set(self, name: str, labels: tuple[str, ...], of_run: dict[str, str], value: float) -> None:
        self._told.add((name, labels))
        self.gauges[name].set(value, {**of_run, **dict(zip(GAUGES[name][1], map(label, labels), strict=True))})


def label(value: str) -> str:
    """The value of a label as Ray takes it: in ASCII."""
    return value.encode("ascii", "backslashreplace").decode()


def values_of(status: RunStatus) -> Iterable[Value]:
    """What the gauges say of a status."""
    progress, about = status.progress, status.about
    yield "run_info", (about.settings or "none",), 0.0 if status.ended is not None else 1.0
    yield "run_seconds", (), status.now - status.began
    for state, number in status.units.items():
        yield "units", (state,), number
    yield "units_planned", (), status.planned
    yield "units_done_before", (), about.num_done
    yield "clips", ("kept",), progress.kept
    yield "clips", ("rejected",), progress.clips - progress.kept
    yield "clips", ("in_work",), progress.in_work
    for reason, number in progress.rejected.items():
        stage, _, rule = reason.rpartition("/")
        yield "rejected", (stage or status.job, rule), number
    yield "video_seconds", ("read",), progress.video_s
    yield "video_seconds", ("kept",), progress.kept_video_s
    yield "written_bytes", (), progress.num_bytes
    yield "shards", (), progress.commits
    yield "attempts", (), status.attempts
    for reason, number in status.lost.items():
        yield "lost_units", (reason,), number
    faults: Counter[str] = Counter()
    for fault, number in progress.waiting.items():
        faults[fault.partition(": ")[0]] += number  # what a server answered is in the log
    for fault, number in faults.items():
        yield "left_units", (fault,), number
    is_over = status.ended is not None
    yield "idle_seconds", (), 0.0 if is_over else status.idle_s
    yield "oldest_unit_seconds", (), 0.0 if is_over else status.oldest_s
    if math.isfinite(status.unit_timeout_s):
        yield "unit_timeout_seconds", (), status.unit_timeout_s
    yield "nodes", (), status.nodes
    for pool in status.pools:
        yield "pool_actors", (pool.name, "ready"), pool.ready
        yield "pool_actors", (pool.name, "starting"), pool.starting
        yield "pool_units", (pool.name, "waiting"), pool.waiting
        yield "pool_units", (pool.name, "in_hand"), pool.in_hand
        yield "pool_places", (pool.name,), pool.places
        yield "loads", (pool.name,), pool.loads
        yield "loading_seconds", (pool.name,), pool.loading_s
    for (name, *labels), value in progress.counts.items():
        yield name, tuple(labels), value
