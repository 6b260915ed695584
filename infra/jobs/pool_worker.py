"""What runs on the cluster: the actor of a pool, and the task that commits."""

from __future__ import annotations

import pickle
import sys
import threading
from typing import Any

import pyarrow as pa
import ray

from infra.config import ConfigError
from infra.jobs import notes
from infra.jobs.company import Company
from infra.jobs.deadlines import deadline
from infra.jobs.environments import Versions
from infra.jobs.job import Job
from infra.jobs.machine_fault import MachineFaultError
from infra.jobs.placement import PoolConfig
from infra.jobs.waiting import WaitingUnit


class PoolWorker:
    """An actor that takes units through its pool's stages, one at a time or several in threads.

    An actor of the last pool also commits the unit, if units are committed one by one.
    """

    def __init__(
        self, job: bytes, pool: PoolConfig, ledger: ray.actor.ActorHandle, versions: Versions, *, is_last: bool
    ) -> None:
        """Load what the stages need.

        Args:
            job: pickled, because an environment is looked at before it imports what a job is made of.
            pool: with its stages.
            ledger: of the run.
            versions: the driver's.
            is_last: whether no other pool takes the units further.

        Raises:
            ConfigError: the actor's environment does not fit the driver's, or the job finds a person's mistake.
        """
        self.pool = pool
        self.is_last = is_last
        self.ledger = ledger
        self.company = Company()
        self.committing = threading.Lock()
        notes.listen(teller(ledger))
        try:
            self.job: Job[Any] = unpickled(job, pool, versions)
            self.worker = self.job.worker(pool.stages, debug=False, units_in_flight=pool.units_in_flight)
        except ConfigError as error:
            ray.get(ledger.refuse.remote(str(error)))
            raise
        self.commits = is_last and self.job.units_per_commit == 1
        ray.get(ledger.started.remote(pool.name))

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Take a pickled unit; return it as it is after the pool's stages, or its key if it is committed."""
        units = [self._process(pickle.loads(data)) for data in batch["unit"].to_pylist()]
        if self.commits:
            return keys_table([unit.key if isinstance(unit, WaitingUnit) else self.job.key(unit) for unit in units])
        return pa.table({"unit": pa.array([pickle.dumps(unit) for unit in units], pa.large_binary())})

    @property
    def max_attempts(self) -> int:
        """How often a unit is tried. Where there is company, the last try is alone, so there are two at least."""
        return max(self.job.execution.max_attempts, 2 if self.pool.units_in_flight > 1 else 1)

    def _process(self, unit: Any) -> Any:
        if isinstance(unit, WaitingUnit):
            return unit
        key, pool = self.job.key(unit), self.pool.name
        if self.commits and ray.get(self.ledger.is_committed.remote(key)):
            return unit  # the worker that committed it died before it could say so
        with self.company.joined(alone=self._must_be_alone(key)):
            attempt = ray.get(self.ledger.begin.remote(pool, key))
            try:
                result = self._give_up(unit) if attempt > self.max_attempts else self._work(unit, key)
            except MachineFaultError as error:
                ray.get(self.ledger.wait.remote(pool, key, str(error)))
                return WaitingUnit(key=key)
            if self.commits:
                with self.committing:
                    ray.get(self.ledger.committed.remote([key], self.job.commit([result])))
            ray.get(self.ledger.end.remote(pool, key, finished=self.is_last and not self.commits))
        return result

    def _must_be_alone(self, key: str) -> bool:
        """Whether a worker that may have had company has died over the unit."""
        in_company = self.pool.units_in_flight > 1
        return in_company and ray.get(self.ledger.num_attempts.remote(self.pool.name, key)) > 0

    def _give_up(self, unit: Any) -> Any:
        alone = ", the last time with no other unit in work" if self.pool.units_in_flight > 1 else ""
        return self.job.give_up(
            unit, f"its worker in pool {self.pool.name!r} died or hung {self.max_attempts} times{alone}"
        )

    def _work(self, unit: Any, key: str) -> Any:
        def sign() -> None:
            self.ledger.sign.remote()

        with deadline(self.job.execution.unit_timeout_s, sign) as start_anew:

            def alive() -> None:
                start_anew()
                self.ledger.advance.remote(key)

            return self.worker.run(unit, alive)


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


def write_batch(batch: pa.Table, job: Job[Any], ledger: Any) -> pa.Table:
    """Commit finished units; returns their keys."""
    notes.listen(teller(ledger))
    taken = [pickle.loads(data) for data in batch["unit"].to_pylist()]
    units = [unit for unit in taken if not isinstance(unit, WaitingUnit)]
    keys = [job.key(unit) for unit in units]
    if units:
        ray.get(ledger.write.remote(keys))
        ray.get(ledger.committed.remote(keys, job.commit(units)))
    return keys_table(keys)


def keys_table(keys: list[str]) -> pa.Table:
    """What a run yields: nobody reads it."""
    return pa.table({"unit": pa.array(keys, pa.string())})


def teller(ledger: Any) -> notes.Listener:
    """Passes notes to the person who watches the run, and into this process's log."""

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        ledger.note.remote(line)

    return tell
