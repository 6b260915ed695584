"""The driver of a job of tiny units, in a process of its own.

python -m tests.worlds.tiny_run OUT NUM_UNITS NUM_POOLS
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from infra.command_line import exit_status
from infra.jobs.cluster import ray_session
from infra.jobs.engine import run_on_ray
from infra.jobs.progress import Progress
from tests.worlds.tiny_units import POOLS, TinyJob, TinyUnit, expected


def run(out: Path, num_units: int, num_pools: int) -> None:
    """Do what is not committed yet."""
    out.mkdir(parents=True, exist_ok=True)
    job = TinyJob(out=out)
    job = replace(job, execution=replace(job.execution, pools=POOLS[num_pools]))
    done = job.results()
    units = [TinyUnit(key=key) for key in expected(num_units) if key not in done]

    def report(progress: Progress) -> None:
        (out / "progress").write_text(f"{len(done) + progress.units}\n")

    with ray_session("tiny"):
        run_on_ray(units, job, report)


if __name__ == "__main__":
    sys.exit(
        exit_status(lambda: run(Path(sys.argv[1]), *map(int, sys.argv[2:])), interrupted="the same command goes on")
    )
