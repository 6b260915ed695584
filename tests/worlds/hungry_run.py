"""The driver of a run on a node that runs out of memory, in a process of its own.

python -m tests.worlds.hungry_run OUT is_hungry|is_not
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from infra.command_line import exit_status
from infra.jobs.cluster import ray_session, telling_why_it_stopped
from infra.jobs.engine import run_on_ray
from infra.jobs.job import Alive
from infra.jobs.placement import PoolConfig
from tests.worlds.tiny_units import TinyJob, TinyUnit, TinyWorker

KEYS = ("a", "b", "hungry", "c", "d")
SPARE = 0.08
"""Share of this machine's memory that may be taken beside what is in use."""
MOST_BYTES = 6 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class HungryJob(TinyJob):
    """One of its units takes all the memory that it gets."""

    is_hungry: bool

    def worker(self, stages: Sequence[str], *, debug: bool, units_in_flight: int = 1) -> TinyWorker:
        kind = HungryWorker if self.is_hungry else TinyWorker
        return kind(out=self.out, stages=tuple(stages))


class HungryWorker(TinyWorker):
    """Takes memory in steps, each of which it writes to."""

    def run(self, unit: TinyUnit, alive: Alive) -> TinyUnit:
        taken: list[bytearray] = []
        while unit.key == "hungry" and sum(map(len, taken)) < MOST_BYTES:
            taken.append(bytearray(b"x" * (100 << 20)))
            time.sleep(0.05)
        return super().run(unit, alive)


def run(out: Path, *, is_hungry: bool) -> None:
    """Do what is not committed yet."""
    out.mkdir(parents=True, exist_ok=True)
    memory = psutil.virtual_memory()
    threshold = 1 - memory.available / memory.total + SPARE
    os.environ |= {"RAY_memory_usage_threshold": f"{threshold:.3f}", "RAY_memory_monitor_refresh_ms": "100"}
    job = HungryJob(out=out, is_hungry=is_hungry)
    execution = replace(job.execution, max_attempts=2, pools=(PoolConfig(name="all", actors=1, num_cpus=0.3),))
    job = replace(job, execution=execution)
    done = job.results()
    with telling_why_it_stopped(), ray_session("hungry"):
        run_on_ray([TinyUnit(key=key) for key in KEYS if key not in done], job, lambda _: None)


if __name__ == "__main__":
    place, how = sys.argv[1:]
    sys.exit(
        exit_status(lambda: run(Path(place), is_hungry=how == "is_hungry"), interrupted="the same command goes on")
    )
