"""What runs on the cluster: the actors of a pool, and those that commit."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import ray

from infra.config import ConfigError
from infra.jobs import notes, tally, unit_log
from infra.jobs.deadlines import deadline
from infra.jobs.environments import Versions
from infra.jobs.job import Job
from infra.jobs.machine_fault import MachineFaultError
from infra.jobs.persistence import persistently
from infra.jobs.placement import PoolConfig
from infra.jobs.progress import Progress
from infra.jobs.scratch import watch_scratch
from infra.jobs.unit_log import Line, StageListener, UnitLog, log, of_unit, teller
from infra.storage.settings import StorageSettings

SHORT_ID: Final = 8
"""Letters of a node's identifier by which a log names it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the driver hears of a unit that comes back, or of a commit."""

    fault: str | None = None
    """Why the unit is left to the next run; None if it was done."""
    is_for_all: bool = False
    """Whether every other unit would meet the same fault."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall seconds by stage."""
    kept: tuple[Line, ...] = ()
    """Lines for the log of the run."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Committed units that have failed, and why."""

    @classmethod
    def of(cls, error: MachineFaultError, said: UnitLog | None = None) -> Outcome:
        """That of a unit whose machine is at fault."""
        return cls(
            fault=str(error), is_for_all=error.is_for_all,
            seconds={} if said is None else said.seconds, kept=() if said is None else tuple(said.kept),
        )  # fmt: skip


class PoolWorker:
    """An actor that takes units through its pool's stages, one at a time or several in threads.

    An actor of the last pool also commits the unit, if units are committed one by one: another process would have to
    import all that the job needs, which can include torch.
    """

    def __init__(
        self,
        job: bytes,
        pool: PoolConfig,
        ledger: ray.actor.ActorHandle,
        versions: Versions,
        settings: StorageSettings,
        *,
        is_last: bool,
    ) -> None:
        """Load what the stages need.

        Args:
            job: pickled, because an environment is looked at before it imports what a job is made of.
            pool: with its stages.
            ledger: of the run.
            versions: the driver's.
            settings: by which the driver reaches its stores.
            is_last: whether no other pool takes the units further.

        Raises:
            ConfigError: the actor's environment does not fit the driver's, or the job finds a person's mistake.
        """
        self.pool = pool
        self.ledger = ledger
        self.committing = threading.Lock()
        start = time.monotonic()
        notes.listen(teller(ledger.note.remote))
        settings.apply()
        try:
            self.job: Job[Any] = unpickled(job, pool, versions)
            watch_scratch(self.job)
            log_as(self.job, pool.name, ledger.enter.remote)
            self.worker = self.job.worker(pool.stages, debug=False, units_in_flight=pool.units_in_flight)
        except ConfigError as error:
            ray.get(ledger.refuse.remote(str(error)))
            raise
        self.commits = is_last and self.job.units_per_commit == 1
        seconds = time.monotonic() - start
        log("loaded", seconds=round(seconds, 3), stages=pool.stages)
        ray.get(ledger.started.remote(pool.name, seconds))

    def node(self) -> str:
        """Where this actor runs. It answers when everything is loaded."""
        return str(ray.get_runtime_context().get_node_id())

    def work(self, data: bytes, key: str, attempt: int, give_up: str | None) -> tuple[Outcome, bytes]:
        """Take a unit through the stages; returns it as it is then, or nothing if it is committed or left.

        Args:
            data: the unit, pickled.
            key: the unit's.
            attempt: how often it has been given to a worker of this pool, this time included.
            give_up: why no further worker is to try it, for the record; None to try.
        """
        ray.get(self.ledger.begin.remote([key]))
        with of_unit(key, attempt) as said:
            try:
                unit = pickle.loads(data)
                result = self._try(unit, key) if give_up is None else self.job.give_up(unit, give_up)
                if self.commits:
                    with self.committing:
                        committed = commit(self.job, [result])
                    ray.get(self.ledger.committed.remote([key], committed, tally.take()))
                    return _done(said, committed.failures), b""
                passed_on = pickle.dumps(result)
            except MachineFaultError as error:
                log("fault", level="warning", reason=str(error))
                ray.get(self.ledger.forget.remote([key], tally.take()))
                return Outcome.of(error, said), b""
        ray.get(self.ledger.end.remote([key], tally.take()))
        return _done(said), passed_on

    def _try(self, unit: Any, key: str) -> Any:
        execution = self.job.execution

        def sign() -> None:
            self.ledger.sign.remote(key)
            # A unit that waits for a store long does not end, and what it meets is worth knowing now.
            if counts := tally.take():
                self.ledger.count.remote(counts)

        with deadline(execution.unit_timeout_s, sign) as start_anew:

            def alive() -> None:
                start_anew()
                self.ledger.advance.remote(key)

            return persistently(lambda: self.worker.run(unit, alive), execution.patience_s)


def unpickled(job: bytes, pool: PoolConfig, versions: Versions) -> Job[Any]:
    """The job, once it is known that the environment of this process fits the driver's.

    Raises:
        ConfigError: it has another Python or Ray, or lacks a package.
    """
    if pool.environment is not None:
        versions.check(pool.environment)
    try:
        unpacked: Job[Any] = ray.cloudpickle.loads(job)
    except ImportError as error:
        if pool.environment is None:
            raise
        raise ConfigError(
            f"environment {pool.environment!r} ({sys.executable}) cannot import what the job needs: {error}"
        ) from error
    return unpacked


class Writer:
    """An actor that commits finished units together."""

    def __init__(self, job: bytes, ledger: ray.actor.ActorHandle, settings: StorageSettings) -> None:
        """Args:
        job: pickled.
        ledger: of the run.
        settings: by which the driver reaches its stores.
        """
        notes.listen(teller(ledger.note.remote))
        settings.apply()
        self.ledger = ledger
        self.job: Job[Any] = ray.cloudpickle.loads(job)
        log_as(self.job, "commit", None)

    def node(self) -> str:
        """Where this actor runs."""
        return str(ray.get_runtime_context().get_node_id())

    def write(self, keys: list[str], *units: bytes) -> Outcome:
        """Commit units.

        Args:
            keys: of the units.
            units: pickled; Ray fetches them from where they were made.
        """
        ray.get(self.ledger.begin.remote(keys))
        try:
            with deadline(self.job.execution.unit_timeout_s, lambda: self.ledger.sign.remote(*keys)):
                committed = commit(self.job, [pickle.loads(unit) for unit in units])
        except MachineFaultError as error:
            log("fault", level="warning", units=keys, reason=str(error))
            ray.get(self.ledger.forget.remote(keys, tally.take()))
            return Outcome.of(error)
        ray.get(self.ledger.committed.remote(keys, committed, tally.take()))
        return Outcome(failures=committed.failures)


def _done(said: UnitLog, failures: Mapping[str, str] | None = None) -> Outcome:
    """The outcome of a unit that was done."""
    return Outcome(seconds=said.seconds, kept=tuple(said.kept), failures=failures or {})


def log_as(job: Job[Any], pool: str, listener: StageListener | None) -> None:
    """Have this process log as a worker of a pool."""
    context = ray.get_runtime_context()
    unit_log.set_up(
        listener, run=job.about.run, job=job.name, pool=pool, node=ray.util.get_node_ip_address(),
        node_id=context.get_node_id()[:SHORT_ID], pid=os.getpid(),
    )  # fmt: skip


def commit(job: Job[Any], units: list[Any]) -> Progress:
    """Publish finished units, tried again while the store cannot take them.

    Raises:
        MachineFaultError: it does not take them for too long; nothing of them is published.
    """
    return persistently(lambda: job.commit(units), job.execution.patience_s)
