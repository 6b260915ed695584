"""The driver of a job of tiny units, in a process of its own.

python -m tests.worlds.tiny_run OUT NUM_UNITS
"""

from __future__ import annotations

import sys
from pathlib import Path

from infra.command_line import exit_status
from infra.jobs.cluster import ray_session
from infra.jobs.engine import run_on_ray
from infra.jobs.ledger import Progress
from tests.worlds.tiny_units import TinyJob, TinyUnit, expected


def run(out: Path, num_units: int) -> None:
    """Do what is not committed yet."""
    out.mkdir(parents=True, exist_ok=True)
    job = TinyJob(out=out)
    done = job.results()
    units = [TinyUnit(key=key) for key in expected(num_units) if key not in done]

    def report(progress: Progress) -> None:
        (out / "progress").write_text(f"{len(done) + progress.units}\n")

    with ray_session("tiny"):
        run_on_ray(units, job, report)


if __name__ == "__main__":
    sys.exit(exit_status(lambda: run(Path(sys.argv[1]), int(sys.argv[2])), interrupted="the same command goes on"))
