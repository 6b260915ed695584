"""Running a job: over a Ray cluster, or in this process for debugging.

A job's units pass through pools of actors and are committed one or a few at a time. A unit that kills or hangs its
worker is retried a bounded number of times; after that the job decides what becomes of it. A unit for which the machine
is to blame is left to the next run.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FunctionType
from typing import Any, TypeVar

import ray

from infra.config import ConfigError
from infra.jobs import notes
from infra.jobs.cluster import given_address
from infra.jobs.environments import Versions, runtime_env
from infra.jobs.job import Job
from infra.jobs.ledger import Progress, start_ledger
from infra.jobs.machine_fault import MachineFaultError
from infra.jobs.placement import NodeResources, PlacedPool, PoolConfig, resolve_pools
from infra.jobs.pool_worker import PoolWorker, write_batch
from infra.jobs.waiting import check_none_waits
from infra.jobs.watch import Report, not_started, watched

MAX_BLOCKS = 4096
"""Up to this many units, Ray Data gets a block for each. Beyond it, a block has several, which are retried together."""

U = TypeVar("U")
T = TypeVar("T")


def run_inline(units: Sequence[U], job: Job[U], report: Report) -> None:
    """Process the units one after the other in this process; an unexpected exception is a traceback.

    Args:
        units: what is to be done.
        job: the kind of work; its placement and limits do not apply.
        report: called with the totals after every unit and commit, and whenever the worker says that it is alive or
            has something to tell.

    Raises:
        UnitsWaitError: units are left to the next run.
    """
    job.open()
    progress, batch = Progress(), list[U]()
    reporting = threading.Lock()

    def tell() -> None:
        with reporting:
            report(progress)

    def alive() -> None:
        progress.in_work += 1
        tell()

    def note(line: str) -> None:
        progress.notes.append(line)
        tell()

    with notes.heard_by(note):
        worker = job.worker(job.stages, debug=True)
        for number, unit in enumerate(units, start=1):
            progress.units_in_work, before = 1, progress.in_work
            tell()
            try:
                batch.append(worker.run(unit, alive))
            except MachineFaultError as error:
                progress.waiting[str(error)] += 1
                progress.in_work = before
            progress.units_in_work, progress.units_finished = 0, len(batch)
            if batch and (len(batch) == job.units_per_commit or number == len(units)):
                progress.merge(job.commit(batch))
                progress.in_work = progress.units_finished = 0
                batch.clear()
            tell()
    check_none_waits(progress)


def run_on_ray(units: Sequence[U], job: Job[U], report: Report) -> None:
    """Stream the units through pools of actors into committing tasks; needs `cluster.ray_session`.

    A worker that dies is replaced and its unit is retried, a bounded number of times.

    Args:
        units: what is to be done.
        job: the kind of work; remote workers must reach its directories too.
        report: called with the totals every second and at the end.

    Raises:
        ConfigError: the profile's pools do not fit the stages or the cluster, or a worker finds a person's mistake.
        TimeoutError: no worker starts, or nothing happens any more.
        UnitsWaitError: units are left to the next run.
        ray.exceptions.RayError: the run cannot go on (another run took the directory over, say).
    """
    pools = _pools(job)
    options = [_options(pool.config) for pool in pools]
    job.open()
    if not units:
        return
    ledger = start_ledger(job.name)
    rows = [{"unit": pickle.dumps(unit)} for unit in units]
    dataset = ray.data.from_items(rows, override_num_blocks=min(len(rows), MAX_BLOCKS))
    for pool, reserved in zip(pools, options, strict=True):
        dataset = dataset.map_batches(
            # Ray Data names its actors, and its metrics, after the class that it is given.
            type(f"{job.name}/{pool.name}", (PoolWorker,), {"__doc__": PoolWorker.__doc__}),
            # Units that are committed one by one are committed by the actor that finishes them: another process would
            # have to import all that the job needs, which can include torch.
            fn_constructor_kwargs={
                "job": ray.cloudpickle.dumps(job),
                "pool": pool.config,
                "ledger": ledger,
                "versions": Versions.here(),
                "is_last": pool is pools[-1],
            },
            batch_size=1,
            batch_format="pyarrow",
            compute=_actor_pool(pool, len(units)),
            **reserved,
        )
    if job.units_per_commit > 1:
        dataset = dataset.map_batches(
            _named(write_batch, f"{job.name}/commit"),
            fn_kwargs={"job": job, "ledger": ledger},
            batch_size=job.units_per_commit,
            batch_format="pyarrow",
            num_cpus=job.execution.writer_cpus,
        )
    dataset.set_name(job.name)
    try:
        with watched(ledger, report, job.execution, [pool.config for pool in pools]):
            # Read in this thread, which ctrl-C and the watch can interrupt; `iter_rows` waits in another thread.
            for _ in dataset.iter_internal_ref_bundles():
                pass
        check_none_waits(ray.get(ledger.snapshot.remote()))
    except ray.exceptions.RayError as error:
        with suppress(ray.exceptions.RayError):
            if (mistake := ray.get(ledger.refusal.remote())) is not None:
                raise ConfigError(mistake) from error
        raise
    finally:
        with suppress(ray.exceptions.RayError):
            ray.kill(ledger)  # the dataset's plan still refers to it


def run_in_pool(job: Job[Any], function: Callable[[], T]) -> T:
    """Call a function once where the actors of the job's first pool will run: with their GPU and environment.

    Raises:
        ConfigError: the function raises it, or as `run_on_ray`.
        TimeoutError: it takes longer than an actor may take to start.
    """
    pool = _pools(job)[0].config
    task = ray.remote(**_options(pool), max_retries=0)(_call).options(name=f"{job.name}/{pool.name}/first")
    try:
        result: T
        result, told = ray.get(task.remote(function), timeout=job.execution.start_timeout_s)
    except ray.exceptions.GetTimeoutError as error:
        raise TimeoutError(not_started(pool, job.execution.start_timeout_s)) from error
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ConfigError):
            raise ConfigError(str(error.cause)) from None
        raise
    for line in told:
        notes.tell(line)
    return result


def _pools(job: Job[Any]) -> list[PlacedPool]:
    nodes = [NodeResources.from_ray(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    return resolve_pools(job.execution.pools, job.stages, nodes)


def _options(pool: PoolConfig) -> dict[str, Any]:
    """What Ray is told of a pool's actors, and of a task in their place."""
    options: dict[str, Any] = {"num_cpus": pool.num_cpus, "num_gpus": pool.num_gpus}
    if pool.memory_gb is not None:
        options["memory"] = int(pool.memory_gb * 1e9)
    if pool.accelerator_type is not None:
        options["accelerator_type"] = pool.accelerator_type
    if pool.environment is not None:
        options["runtime_env"] = runtime_env(pool.environment, is_joined=given_address() is not None)
    return options


def _actor_pool(pool: PlacedPool, num_units: int) -> ray.data.ActorPoolStrategy:
    """Ray Data's pool of actors; none that would find no unit."""
    in_flight = pool.config.units_in_flight
    smallest = min(pool.actors.min, num_units)
    return ray.data.ActorPoolStrategy(
        min_size=smallest,
        max_size=max(smallest, min(pool.actors.max, num_units)),
        # As many units again lie ready at an actor as it works on.
        max_tasks_in_flight_per_actor=2 * in_flight,
        max_concurrent_calls_per_actor=in_flight,
        enable_true_multi_threading=in_flight > 1,
    )


def _call(function: Callable[[], T]) -> tuple[T, list[str]]:
    """The function's result, and what it had to tell."""
    told: list[str] = []
    with notes.heard_by(told.append):
        return function(), told


def _named(function: Callable[..., T], name: str) -> Callable[..., T]:
    """The same function under another name: Ray Data names its tasks after the function."""
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__, function.__globals__, name)
