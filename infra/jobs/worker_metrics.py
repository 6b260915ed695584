"""What a worker publishes itself: how long its stages take, and the room on the disk that it fetches to.

Totals are the ledger's (`infra.jobs.gauges`). A histogram lives as long as its worker, which is enough for the
spread of the last minutes; only the pool that runs a stage observes it.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import ray
from ray.util import metrics

from infra.jobs.gauges import OF_RUN, PREFIX
from infra.jobs.job import Job

BUCKETS_S: Final = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]


class WorkerMetrics:
    """The metrics of one worker; hears where its units are."""

    def __init__(self, job: Job[Any], ledger: ray.actor.ActorHandle) -> None:
        self.ledger = ledger
        self._labels = {"job_name": job.name, "run": job.about.run}
        self._scratch = Path(job.about.scratch or tempfile.gettempdir())
        self._seconds = metrics.Histogram(
            f"{PREFIX}stage_unit_seconds", "Wall time of a stage on one unit", BUCKETS_S, (*OF_RUN, "stage")
        )
        self._free, self._total = (
            metrics.Gauge(f"{PREFIX}scratch_{kind}_bytes", f"Bytes of a node's scratch disk: {about}", OF_RUN)
            for kind, about in (("free", "what is free"), ("total", "all of it"))
        )
        self.see_scratch()

    def begins(self, unit: str, stage: str) -> None:
        """See `StageListener`."""
        self.ledger.enter.remote(unit, stage)

    def ends(self, stage: str, seconds: float) -> None:
        """See `StageListener`."""
        self._seconds.observe(seconds, {**self._labels, "stage": stage})

    def see_scratch(self) -> None:
        """Publish the room on the scratch disk as it is now."""
        with suppress(OSError):  # the folder may not be made yet
            usage = shutil.disk_usage(self._scratch)
            self._free.set(usage.free, self._labels)
            self._total.set(usage.total, self._labels)
