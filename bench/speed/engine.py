"""What the engine adds to a unit of work: a run of units that cost nothing, against bare calls of the same actors.

    python -m bench.speed.engine [--units N]

Both run on one local cluster of two CPUs with two actors. The engine notes each unit with the ledger when it is taken
up and when it is done, knows which worker has which, and commits eight at a time; the reference passes the same bytes
through actors that return them, four calls in flight for each, and nothing else.
"""

from __future__ import annotations

import argparse
import sys
import time

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--units", type=int, default=5000, help="units of work (default: %(default)s)")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.engine", __doc__, add_arguments))  # ahead of the imports that take seconds

import pickle
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import ray

from infra.jobs.cluster import ray_session
from infra.jobs.engine import run_on_ray
from infra.jobs.job import About, Alive
from infra.jobs.placement import ExecutionConfig, PoolConfig
from infra.jobs.progress import Progress

ACTORS, IN_FLIGHT = 2, 4
CONTENT = bytes(500)
"""What a unit carries: about what a source weighs when it is planned."""


def run(options: argparse.Namespace) -> None:
    """Print units a second, the ratio, and the growth of the driver's memory."""
    with ray_session("engine", num_cpus=2, dashboard=False):
        bare_s = bare(options.units)
        own, before_mb = psutil.Process(), psutil.Process().memory_info().rss / 1e6
        start = time.perf_counter()
        first: list[float] = []

        def report(progress: Progress) -> None:
            if progress.units_in_work + progress.units_finished + progress.units and not first:
                first.append(time.perf_counter())

        run_on_ray([(number, CONTENT) for number in range(options.units)], IdleJob(), report)
        end = time.perf_counter()
        grown_mb = own.memory_info().rss / 1e6 - before_mb
        began = first[0] if first else start
    engine_s = end - began
    print(f"{options.units:,} units, {ACTORS} actors; starting them took {began - start:.1f} s and is not counted")
    print(f"bare calls  {options.units / bare_s:8.0f} units a second")
    ratio = engine_s / bare_s
    print(f"engine      {options.units / engine_s:8.0f} units a second   {ratio:6.2f} × the time of bare calls")
    print(f"the driver's memory grew by {grown_mb:.1f} MB")


def bare(num_units: int) -> float:
    """Seconds that bare calls take."""
    echo = ray.remote(num_cpus=0.5)(Echo)
    actors = [echo.remote() for _ in range(ACTORS)]
    ray.get([actor.work.remote(CONTENT) for actor in actors])
    data, start = pickle.dumps((0, CONTENT)), time.perf_counter()
    running = {actor.work.remote(data): actor for actor in actors for _ in range(IN_FLIGHT)}
    left = num_units - len(running)
    while running:
        ended, _ = ray.wait(list(running))
        for ref in ended:
            actor = running.pop(ref)
            if left > 0:
                running[actor.work.remote(data)] = actor
                left -= 1
    seconds = time.perf_counter() - start
    for actor in actors:
        ray.kill(actor)
    return seconds


class Echo:
    """An actor that returns what it gets."""

    def work(self, data: bytes) -> bytes:
        """The same."""
        return data


@dataclass(frozen=True, kw_only=True, slots=True)
class IdleJob:
    """Does nothing with each unit."""

    name: str = "idle"
    about: About = About()
    execution: ExecutionConfig = ExecutionConfig(
        pools=(PoolConfig(name="all", actors=ACTORS, num_cpus=0.5),), writer_cpus=0.1
    )
    stages: tuple[str, ...] = ("idle",)
    units_per_commit: int = 8

    def open(self) -> None:
        """Nothing."""

    def key(self, unit: tuple[int, bytes]) -> str:
        """Its number."""
        return str(unit[0])

    def worker(self, stages: Sequence[str], *, debug: bool, units_in_flight: int = 1) -> IdleWorker:  # noqa: ARG002
        """Load nothing."""
        return IdleWorker()

    def give_up(self, unit: tuple[int, bytes], detail: str) -> tuple[int, bytes]:  # noqa: ARG002
        """The unit."""
        return unit

    def commit(self, units: Sequence[tuple[int, bytes]]) -> Progress:
        """Count them."""
        return Progress(units=len(units))

    def tidy(self) -> None:
        """Nothing."""


class IdleWorker:
    """Returns each unit as it is."""

    def run(self, unit: tuple[int, bytes], alive: Alive) -> tuple[int, bytes]:  # noqa: ARG002
        """The unit."""
        return unit
