"""The room on the disk that a worker fetches to, which the worker itself publishes: it is its node's."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ray.util import metrics

from infra.jobs.gauges import OF_RUN, PREFIX, label
from infra.jobs.job import Job

INTERVAL_S: Final = 2.0
"""Between two looks. A gauge that is not set again is forgotten by Ray's agent after a few seconds."""


def watch_scratch(job: Job[Any]) -> None:
    """Publish the room on this node's scratch disk from now on until the process ends, however long a unit takes."""
    threading.Thread(target=_watch, args=(job,), daemon=True, name="scratch").start()


def _watch(job: Job[Any]) -> None:
    labels = {"job_name": label(job.name), "run": label(job.about.run)}
    scratch = Path(job.about.scratch or tempfile.gettempdir())
    free, total = (
        metrics.Gauge(f"{PREFIX}scratch_{kind}_bytes", f"Bytes of a node's scratch disk: {about}", OF_RUN)
        for kind, about in (("free", "what is free"), ("total", "all of it"))
    )
    while True:
        with suppress(OSError):  # the folder may not be made yet
            usage = shutil.disk_usage(scratch)
            free.set(usage.free, labels)
            total.set(usage.total, labels)
        time.sleep(INTERVAL_S)
