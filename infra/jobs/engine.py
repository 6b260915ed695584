"""Running a job: over a Ray cluster, or in this process for debugging.

A job's units pass through pools of actors and are committed one or a few at a time. A unit that kills or hangs its
worker is retried a bounded number of times; after that the job decides what becomes of it. A fault of the machine is
waited out for a while; a unit for which it persists is left to the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ray

from infra.config import ConfigError
from infra.jobs import notes
from infra.jobs.asked_machines import pools_with_room
from infra.jobs.driver import Driver
from infra.jobs.environments import runtime_env
from infra.jobs.inline import InlineRun
from infra.jobs.job import Job
from infra.jobs.ledger import end_ledger, start_ledger
from infra.jobs.placement import PoolConfig
from infra.jobs.reach import given_address
from infra.jobs.record import RunRecord, recorded
from infra.jobs.watch import Report, not_started
from infra.storage.settings import StorageSettings

U = TypeVar("U")
T = TypeVar("T")


def run_inline(units: Sequence[U], job: Job[U], report: Report) -> None:
    """Process the units one after the other in this process; an unexpected exception is a traceback.

    Args:
        units: what is to be done. Without any, nothing is loaded, and the run's directory is put in order.
        job: the kind of work; its placement and its limits on dead and silent workers do not apply.
        report: called with the totals after every unit and commit, and whenever the worker says that it is alive or
            has something to tell.

    Raises:
        UnitsWaitError: units are left to the next run.
    """
    InlineRun(units, job, report).run()


def run_on_ray(units: Sequence[U], job: Job[U], report: Report) -> None:
    """Stream the units through pools of actors into committing tasks; needs `cluster.ray_session`.

    A worker that dies is replaced and its unit is retried, a bounded number of times. A node that leaves takes nothing
    along but what was in work there. The first SIGTERM lets nothing begin any more; what is in work is committed.

    Args:
        units: what is to be done; they are pickled one by one, when their turn comes. Without any, no worker starts.
        job: the kind of work; remote workers must reach its directories too.
        report: called with the totals every second and at the end.

    Raises:
        ConfigError: the profile's pools do not fit the stages or the cluster, or a worker finds a person's mistake.
        TimeoutError: no worker starts, or nothing happens any more.
        UnitsWaitError: units are left to the next run.
        ray.exceptions.RayError: the run cannot go on (another run took the directory over, say).
    """
    if not units:
        run_inline(units, job, report)
        return
    pools = pools_with_room(job)
    options = {pool.name: _options(pool.config) for pool in pools}
    job.open()
    ledger = start_ledger(job.name)
    with RunRecord(job.name, job.about) as record:
        try:
            with recorded(record, job, len(units)):
                Driver(units, job, ledger, pools, options, record=record).run(report)
        finally:
            end_ledger(ledger)


def run_in_pool(job: Job[Any], function: Callable[[], T]) -> T:
    """Call a function once where the actors of the job's first pool will run: with their GPU and environment.

    Raises:
        ConfigError: the function raises it, or as `run_on_ray`.
        TimeoutError: it takes longer than an actor may take to start.
    """
    pool = pools_with_room(job)[0].config
    task = ray.remote(**_options(pool), max_retries=0)(_call).options(name=f"{job.name}/{pool.name}/first")
    try:
        result: T
        settings = StorageSettings.here()
        result, told = ray.get(task.remote(function, settings), timeout=job.execution.start_timeout_s)
    except ray.exceptions.GetTimeoutError as error:
        raise TimeoutError(not_started(pool, job.execution.start_timeout_s)) from error
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ConfigError):
            raise ConfigError(str(error.cause)) from None
        raise
    for line in told:
        notes.tell(line)
    return result


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


def _call(function: Callable[[], T], settings: StorageSettings) -> tuple[T, list[str]]:
    """The function's result, and what it had to tell."""
    settings.apply()
    told: list[str] = []
    with notes.heard_by(told.append):
        return function(), told
