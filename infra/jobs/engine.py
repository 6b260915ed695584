"""Running a job: over a Ray cluster, or in this process for debugging.

A job's units pass through pools of actors one at a time and are committed one or a few at a time. A unit that kills or
hangs its worker is retried a bounded number of times; after that the job decides what becomes of it.
"""

from __future__ import annotations

import faulthandler
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FunctionType
from typing import Any, Protocol, TypeVar

import pyarrow as pa
import ray

from infra.config import ConfigError
from infra.jobs.cluster import free_name
from infra.jobs.ledger import Progress, start_ledger
from infra.jobs.placement import ExecutionConfig, PoolConfig, resolve_pools
from infra.jobs.watch import Report, not_started, watched

MAX_BLOCKS = 4096
"""Up to this many units, Ray Data gets a block for each. Beyond it, a block has several, which are retried together."""

U = TypeVar("U")
T = TypeVar("T")
Alive = Callable[[], None]
"""Called by a worker now and then while it works on one unit, so that it is not taken for hanging."""


class Worker(Protocol[U]):
    """What an actor holds: loaded models, ready for any number of units."""

    def run(self, unit: U, alive: Alive) -> U:
        """The unit after the worker's stages; bad data becomes a record on it."""
        ...


class Job(Protocol[U]):
    """A kind of work; it is pickled and sent to where it runs."""

    @property
    def name(self) -> str:
        """The beginning of the names of the cluster's actors, tasks and datasets."""
        ...

    @property
    def execution(self) -> ExecutionConfig:
        """Placement and limits."""
        ...

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, which pools of actors can divide among themselves."""
        ...

    @property
    def units_per_commit(self) -> int:
        """How many finished units are committed together."""
        ...

    def open(self) -> None:
        """Take the output directory over and remove what earlier runs left uncommitted."""

    def key(self, unit: U) -> str:
        """Name of a unit, unique within the run."""
        ...

    def worker(self, stages: Sequence[str], *, debug: bool) -> Worker[U]:
        """Load what these stages need; with `debug`, unexpected exceptions are raised."""
        ...

    def give_up(self, unit: U, detail: str) -> U:
        """The unit that no worker survived, with a record of that."""
        ...

    def commit(self, units: Sequence[U]) -> Progress:
        """Publish finished units and count them."""
        ...


def run_inline(units: Sequence[U], job: Job[U], report: Report) -> None:
    """Process the units one after the other in this process; an unexpected exception is a traceback.

    Args:
        units: what is to be done.
        job: the kind of work; its placement and limits do not apply.
        report: called with the totals after every unit and commit, and whenever the worker says that it is alive.
    """
    job.open()
    worker = job.worker(job.stages, debug=True)
    progress, batch = Progress(), list[U]()

    def alive() -> None:
        progress.in_work += 1
        report(progress)

    for number, unit in enumerate(units, start=1):
        progress.units_in_work = 1
        report(progress)
        batch.append(worker.run(unit, alive))
        progress.units_in_work, progress.units_finished = 0, len(batch)
        if len(batch) == job.units_per_commit or number == len(units):
            progress.merge(job.commit(batch))
            progress.in_work = progress.units_finished = 0
            batch.clear()
        report(progress)


def run_on_ray(units: Sequence[U], job: Job[U], report: Report) -> None:
    """Stream the units through pools of actors into committing tasks; needs `cluster.ray_session`.

    A worker that dies is replaced and its unit is retried, a bounded number of times.

    Args:
        units: what is to be done.
        job: the kind of work; remote workers must reach its directories too.
        report: called with the totals every second and at the end.

    Raises:
        ConfigError: the profile's pools do not fit the stages or the cluster.
        TimeoutError: no worker starts, or nothing happens any more.
        ray.exceptions.RayError: the run cannot go on (another run took the directory over, say).
    """
    pools = _pools(job)
    job.open()
    if not units:
        return
    ledger = start_ledger(job.name)
    rows = [{"unit": pickle.dumps(unit)} for unit in units]
    dataset = ray.data.from_items(rows, override_num_blocks=min(len(rows), MAX_BLOCKS))
    for pool, size in pools:
        name = f"{job.name}/{pool.name}"
        # The public `map_batches` deprecates options of each single actor, such as its name.
        dataset = dataset.map_batches_internal(
            # Ray Data names the class of its actors, and its metrics, after the class that it is given.
            type(name, (PoolWorker,), {"__doc__": PoolWorker.__doc__}),
            # Units that are committed one by one are committed by the actor that finishes them: another process would
            # have to import all that the job needs, which can include torch.
            fn_constructor_kwargs={
                "job": job,
                "pool": pool,
                "ledger": ledger,
                "is_last": pool is pools[-1][0],
            },
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=2),
            num_cpus=pool.num_cpus,
            num_gpus=pool.num_gpus,
            ray_remote_args_fn=partial(_actor_options, name),
            **_environment(pool),
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
        with watched(ledger, report, job.execution, [pool for pool, _ in pools]):
            # Read in this thread, which ctrl-C and the watch can interrupt; `iter_rows` waits in another thread.
            for _ in dataset.iter_internal_ref_bundles():
                pass
    finally:
        with suppress(ray.exceptions.RayError):
            ray.kill(ledger)  # the dataset's plan still refers to it


def run_in_pool(job: Job[Any], function: Callable[[], T]) -> T:
    """Call a function once where the actors of the job's first pool will run: with their GPU and environment.

    Raises:
        ConfigError: the function raises it, or as `run_on_ray`.
        TimeoutError: it takes longer than an actor may take to start.
    """
    pool, _ = _pools(job)[0]
    options = {"num_cpus": pool.num_cpus, "num_gpus": pool.num_gpus, "max_retries": 0, **_environment(pool)}
    task = ray.remote(**options)(_call).options(name=f"{job.name}/{pool.name}/first")
    try:
        result: T = ray.get(task.remote(function), timeout=job.execution.start_timeout_s)
    except ray.exceptions.GetTimeoutError as error:
        raise TimeoutError(not_started(pool, job.execution.start_timeout_s)) from error
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ConfigError):
            raise ConfigError(str(error.cause)) from None
        raise
    return result


class PoolWorker:
    """An actor that takes one unit at a time through its pool's stages.

    An actor of the last pool also commits the unit, if units are committed one by one.
    """

    def __init__(self, job: Job[Any], pool: PoolConfig, ledger: ray.actor.ActorHandle, *, is_last: bool) -> None:
        self.job = job
        self.is_last = is_last
        self.commits = is_last and job.units_per_commit == 1
        self.pool = pool.name
        self.ledger = ledger
        self.worker = job.worker(pool.stages, debug=False)
        ray.get(ledger.started.remote(self.pool))

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Take a pickled unit; return it as it is after the pool's stages, or its key if it is committed."""
        units = [self._process(pickle.loads(data)) for data in batch["unit"].to_pylist()]
        if self.commits:
            return pa.table({"unit": [self.job.key(unit) for unit in units]})
        return pa.table({"unit": pa.array([pickle.dumps(unit) for unit in units], pa.large_binary())})

    def _process(self, unit: Any) -> Any:
        limits, key = self.job.execution, self.job.key(unit)
        attempt = ray.get(self.ledger.begin.remote(self.pool, key))
        if attempt > limits.max_attempts:
            result = self.job.give_up(
                unit, f"its worker in pool {self.pool!r} died or hung {limits.max_attempts} times"
            )
        else:
            with _deadline(limits.unit_timeout_s) as rearm:

                def alive() -> None:
                    rearm()
                    self.ledger.advance.remote(key)

                result = self.worker.run(unit, alive)
        if self.commits:
            ray.get(self.ledger.committed.remote([key], self.job.commit([result])))
        ray.get(self.ledger.end.remote(self.pool, key, finished=self.is_last and not self.commits))
        return result


def write_batch(batch: pa.Table, job: Job[Any], ledger: Any) -> pa.Table:
    """Commit finished units; returns their keys."""
    units = [pickle.loads(data) for data in batch["unit"].to_pylist()]
    keys = [job.key(unit) for unit in units]
    ray.get(ledger.write.remote(keys))
    ray.get(ledger.committed.remote(keys, job.commit(units)))
    return pa.table({"unit": keys})


def _pools(job: Job[Any]) -> list[tuple[PoolConfig, int]]:
    resources = ray.cluster_resources()
    return resolve_pools(
        job.execution.pools, job.stages, num_cpus=resources.get("CPU", 0), num_gpus=resources.get("GPU", 0)
    )


def _call(function: Callable[[], T]) -> T:
    return function()


def _actor_options(name: str) -> dict[str, Any]:
    """The options of one actor: Ray Data asks for them with every actor that it starts."""
    return {"name": free_name(name)}


def _named(function: Callable[..., T], name: str) -> Callable[..., T]:
    """The same function under another name: Ray Data names its tasks after the function."""
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__, function.__globals__, name)


def _environment(pool: PoolConfig) -> dict[str, Any]:
    return {} if pool.environment is None else {"runtime_env": {"uv": pool.environment}}


@contextmanager
def _deadline(seconds: float) -> Iterator[Callable[[], None]]:
    """End this process, with every thread's stack in its log, if the block takes longer.

    Yields a function that starts the time anew. The watchdog is a C thread, so it works even while a library hangs and
    holds the interpreter's lock.
    """

    def rearm() -> None:
        faulthandler.dump_traceback_later(seconds, exit=True)

    rearm()
    try:
        yield rearm
    finally:
        faulthandler.cancel_dump_traceback_later()
