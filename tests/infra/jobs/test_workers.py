"""A command's options for workers, and what people get when the cluster cannot go on."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import ray
from rich.console import Console

from infra.command_line import CommandFailedError
from infra.jobs import workers
from infra.jobs.cluster import ClusterError
from infra.jobs.console import Words
from infra.jobs.worker_options import WORKER_CPUS, add_worker_options
from infra.jobs.workers import Workers
from tests.worlds.toy_job import ToyJob, Unit

WORDS = Words(doing="doing", counts="units", kept="kept", rejected="rejected")


def typed(*words: str) -> Workers:
    parser = argparse.ArgumentParser()
    add_worker_options(parser)
    return Workers.from_options(parser.parse_args(words))


def run(where: Workers, out: Path, units: list[Unit]) -> ToyJob:
    job = ToyJob(out=out)
    where.run(units, job, WORDS, Console(file=io.StringIO(), markup=False))
    return job


def test_what_was_typed_is_one_pool_of_such_actors() -> None:
    assert typed() == Workers(on_ray=False, actors=None, cpus=WORKER_CPUS, gpus=0.0)
    where = typed("--ray", "--workers", "3", "--worker-cpus", "0.5", "--worker-gpus", "0.25")
    assert where == Workers(on_ray=True, actors=3, cpus=0.5, gpus=0.25)
    execution = where.execution(7.0)
    (pool,) = execution.pools
    assert (pool.actors, pool.num_cpus, pool.num_gpus, execution.unit_timeout_s) == (3, 0.5, 0.25, 7.0)


def test_without_ray_the_units_are_done_here(tmp_path: Path) -> None:
    assert run(Workers(), tmp_path, [Unit(name="a")]).results() == {"a": "first second"}


def test_no_cluster_is_started_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(workers, "announced_ray", start)
    run(Workers(on_ray=True), tmp_path, [])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (lambda: ray.exceptions.RayError("it is gone"), "the run stopped: it is gone; the same command goes on"),
        (lambda: ClusterError("Ray does not start: x"), "Ray does not start: x"),
        (lambda: ConnectionError("no Ray cluster"), "no Ray cluster"),
        (lambda: TimeoutError("no worker of pool"), "no worker of pool"),
    ],
)
def test_a_cluster_that_cannot_go_on_is_one_line(
    error: Callable[[], Exception], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise error()

    monkeypatch.setattr(workers, "announced_ray", lambda *_: nullcontext())
    monkeypatch.setattr(workers, "run_on_ray", end)
    with pytest.raises(CommandFailedError) as told:
        run(Workers(on_ray=True), tmp_path, [Unit(name="a")])
    assert str(told.value) == line
