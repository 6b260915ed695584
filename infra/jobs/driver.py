"""The driver of a run on Ray: it hands units to actors one by one, hears what becomes of each, and mends what is lost.

A million units are a queue here and nothing else: no unit waits for another, whatever the size of the plan. When a
worker dies or a node leaves, what it had in work is done anew, and only that.
"""

from __future__ import annotations

import pickle
import queue
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Generic, TypeVar

import ray
from ray.exceptions import ActorDiedError, RayError, RayTaskError

from infra.config import ConfigError
from infra.jobs import notes
from infra.jobs.actor_pool import ActorPool, PoolActor
from infra.jobs.asked_machines import MoreMachines, placed_pools
from infra.jobs.ending import sigterm_told
from infra.jobs.environments import Versions
from infra.jobs.flow import Flow, Group, Passage
from infra.jobs.gauges import StageTime
from infra.jobs.job import Job
from infra.jobs.placement import ActorRange, PlacedPool, PoolConfig
from infra.jobs.pool_worker import Outcome, PoolWorker, Writer
from infra.jobs.progress import Loads, Progress, Silence
from infra.jobs.reach import given_address
from infra.jobs.record import RunRecord
from infra.jobs.recovery import LOST_ACTOR, LOST_DATA, Recovery
from infra.jobs.status import PoolStatus, RunStatus, RunView
from infra.jobs.tidying import Tidying
from infra.jobs.waiting import check_none_left, count_left, why_ended
from infra.jobs.watch import LEDGER_TIMEOUT_S, REPORT_INTERVAL_S, Report, complaint_of, ledger_is_silent
from infra.storage.settings import StorageSettings
from infra.watched import SCRAPE_S, running_monitor

U = TypeVar("U")

POLL_S: Final = 0.2
NODES_INTERVAL_S: Final = 5.0
"""Between two looks at which nodes there are."""
OVERDUE_S: Final = 30.0
"""How much longer than `unit_timeout_s` a worker may be silent before it is ended from here: it ends itself unless its
whole machine stands still."""
MIN_FAULTS: Final = 10
"""Units in a row, from all actors together, that fail for a fault of the machine before a run ends; more where more
are in work at once."""
MAX_FAILED_STARTS: Final = 5
"""Actors of a pool in a row that find a fault when they start, where others of it have started before."""
CLUSTER_SCRAPE_S: Final = 30.0
"""Between two looks of a cluster's Prometheus, as its operator and our pod monitors set it."""
MIN_WRITERS: Final = 2
"""Actors that commit at once at most; more where there are more nodes."""


class Driver(Generic[U]):
    """One run of a job's units over pools of actors."""

    def __init__(
        self,
        units: Sequence[U],
        job: Job[U],
        ledger: ray.actor.ActorHandle,
        pools: Sequence[PlacedPool],
        options: Mapping[str, dict[str, Any]],
        *,
        record: RunRecord,
    ) -> None:
        """Args:
        units: what is to be done.
        job: the kind of work.
        ledger: of the run.
        pools: where it is done.
        options: what Ray is told of a pool's actors, by its name.
        record: of the run.
        """
        self.num_units = len(units)
        self.job = job
        self.ledger = ledger
        self.pools = [ActorPool(number, pool, self._start_actor) for number, pool in enumerate(pools)]
        self.commits_in_pool = job.units_per_commit == 1
        commit = PoolConfig(name="commit", num_cpus=job.execution.writer_cpus)
        self.writers = ActorPool(
            len(pools), PlacedPool(config=commit, actors=ActorRange(min=1, max=MIN_WRITERS)), self._start_writer
        )
        self.flow = Flow(self._plan(units), len(pools), job.units_per_commit)
        self.tidying = Tidying(job)
        self.writing: set[Group] = set()
        self.waiting: Counter[str] = Counter()
        self.num_done = self.num_given = 0
        self.ending: str | None = None
        """Why nothing begins any more; None while units do."""
        self.is_ended_by_signal = False
        self.faults_in_a_row = 0
        self.settled: list[str] = []
        self.stage_times: list[StageTime] = []
        """Of units that have come back since the last look."""
        self._is_unpublished = False
        self._status: RunStatus | None = None
        """The last one that was shown."""
        self._options = options
        self._packed = ray.cloudpickle.dumps(job)
        self._settings = StorageSettings.here()
        self._events: queue.SimpleQueue[tuple[Callable[[Future[Any]], None], Future[Any]]] = queue.SimpleQueue()
        self.record, self.view = record, RunView(job, len(units))
        self.recovery = Recovery(
            self.flow, ledger, job.execution, settle=self._settle, leave=self._leave, record=record
        )
        self._sized_for: frozenset[str] = frozenset()
        self._more = MoreMachines(job)
        self._next_look_s = self._next_nodes_s = 0.0

    def run(self, report: Report) -> None:
        """Do the units; returns when all are committed or left to the next run.

        Args:
            report: called with the totals every second and at the end.

        Raises:
            ConfigError: a worker finds a person's mistake.
            TimeoutError: no worker starts, or nothing happens any more.
            UnitsWaitError: units are left to the next run.
            RayError: the run cannot go on.
        """
        self._look_at_nodes()
        with self.tidying, sigterm_told(self._told_to_end):
            try:
                while not self._is_over():
                    if self.is_ended_by_signal:
                        self.end("SIGTERM")
                    self._hand_out()
                    self._hear()
                    self._look_around(report)
            except RayError as error:
                with suppress(RayError):
                    if (mistake := ray.get(self.ledger.refusal.remote())) is not None:
                        raise ConfigError(mistake) from error
                raise
            finally:
                self._more.ask({})
                for pool in (*self.pools, self.writers):
                    for actor in list(pool.actors):
                        pool.end(actor)
        progress = self._look(report, is_over=True)[0]
        self._stay_seen()
        check_none_left(progress, self.num_left, ending=self.ending, is_signal=self.is_ended_by_signal)

    @property
    def num_left(self) -> int:
        """Units that are not committed."""
        return self.num_units - self.num_done

    def end(self, reason: str) -> None:
        """Let nothing begin any more: what is in work is finished and committed, the rest is left to the next run."""
        if self.ending is None:
            self.ending = reason
            self.record.log("ending", level="warning", reason=reason)
            self.flow.begin_nothing()

    # Handing out.

    def _plan(self, units: Sequence[U]) -> Iterator[Passage]:
        for unit in units:
            planned = pickle.dumps(unit)
            yield Passage(key=self.job.key(unit), planned=planned, data=planned)

    def _hand_out(self) -> None:
        """Give actors and committing tasks what there is for them; what is furthest on goes first."""
        if not self._has_earlier_work():
            self.flow.flush()
        if not self.commits_in_pool:
            self.writers.fill(most=1)
        while self.flow.ready:
            if (writer := self.writers.free(ahead=False)) is None:
                self.writers.grow()
                break
            self._write(writer, self.flow.ready.popleft())
        for pool in reversed(self.pools):
            number = pool.number
            pool.fill(most=max(1, self.num_left))
            suspects = self.flow.suspects[number]
            while suspects and (actor := pool.empty()) is not None:
                self._give(actor, suspects.popleft())
            while self.flow.has_waiting(number) and self._has_room_behind(number):
                free = pool.free(ahead=self._num_waiting(number) > pool.num_places)
                if free is None:
                    pool.grow()
                    break
                if (passage := self.flow.next_for(number)) is not None:
                    self._give(free, passage)

    def _give(self, actor: PoolActor, passage: Passage) -> None:
        give_up = self.recovery.given_up(actor.pool.config, passage)
        actor.pool.took(actor, passage)
        passage.attempt += 1
        self.num_given += 1
        outcome, data = actor.handle.work.options(num_returns=2).remote(
            passage.data, passage.key, passage.attempt, give_up
        )
        self._when(outcome, lambda future: self._returned(actor, passage, data, future))

    def _write(self, writer: PoolActor, group: Group) -> None:
        self.writing.add(group)
        self.writers.took(writer, group)
        members = list(group.members.values())
        outcome = writer.handle.write.remote([each.key for each in members], *(each.data for each in members))
        self._when(outcome, lambda future: self._written(writer, group, future))

    def _start_actor(self, pool: ActorPool) -> PoolActor:
        # Ray names its actors after the class that it is given.
        kind = type(f"{self.job.name}/{pool.config.name}", (PoolWorker,), {"__doc__": PoolWorker.__doc__})
        options = self._options[pool.config.name]
        handle = ray.remote(**options, max_restarts=0, max_concurrency=pool.config.units_in_flight)(kind).remote(
            self._packed, pool.config, self.ledger, Versions.here(), self._settings, is_last=pool is self.pools[-1]
        )
        return self._announced(PoolActor(handle=handle, pool=pool))

    def _start_writer(self, pool: ActorPool) -> PoolActor:
        kind = type(f"{self.job.name}/{pool.config.name}", (Writer,), {"__doc__": Writer.__doc__})
        handle = ray.remote(num_cpus=pool.config.num_cpus, max_restarts=0)(kind).remote(
            self._packed, self.ledger, self._settings
        )
        return self._announced(PoolActor(handle=handle, pool=pool))

    def _announced(self, actor: PoolActor) -> PoolActor:
        """The actor, of which is heard when it has started."""
        self._when(actor.handle.node.remote(), lambda future: self._started(actor, future))
        return actor

    def _when(self, ref: ray.ObjectRef, handler: Callable[[Future[Any]], None]) -> None:
        """Have an answer heard in this thread when it is there."""
        ref.future().add_done_callback(lambda future: self._events.put((handler, future)))

    # Hearing.

    def _hear(self) -> None:
        """Wait a moment for answers, and take in all that are there."""
        with suppress(queue.Empty):
            handler, future = self._events.get(timeout=POLL_S)
            while True:
                handler(future)
                handler, future = self._events.get_nowait()

    def _started(self, actor: PoolActor, future: Future[Any]) -> None:
        if actor.is_gone:
            return
        pool = actor.pool
        try:
            actor.node = future.result()
            actor.idle_since_s = time.monotonic()
            pool.has_started, pool.num_failed_starts = True, 0
        except LOST_ACTOR as error:
            pool.lost(actor)  # another one is started
            if isinstance(error, ActorDiedError) and error.actor_init_failed:
                pool.num_failed_starts += 1
                # A single node whose environment is broken must not end a run that others do.
                if not pool.has_started or pool.num_failed_starts > MAX_FAILED_STARTS:
                    raise

    def _returned(self, actor: PoolActor, passage: Passage, data: Any, future: Future[Any]) -> None:
        if actor.is_gone:
            return  # its units have been seen to
        try:
            outcome: Outcome = future.result()
        except LOST_ACTOR as error:
            self.recovery.lost_actor(actor, error)
            return
        except LOST_DATA:
            actor.pool.gave_back(actor, passage, at_fault=False)
            self.recovery.begin_anew(passage, from_start=True)
            return
        actor.pool.gave_back(actor, passage, at_fault=outcome.fault is not None)
        self.stage_times.extend(outcome.seconds.items())
        where = {"pool": actor.pool.config.name, "attempt": passage.attempt, **self.recovery.where(actor.node)}
        if outcome.fault is not None:
            self.record.take(outcome.kept)
            self._leave([passage], outcome, **where)
            return
        self.faults_in_a_row = 0
        self.record.passed(passage.key, where, outcome.seconds, outcome.kept)
        if self.commits_in_pool and actor.pool is self.pools[-1]:
            self._committed([passage], outcome, **where)
        else:
            self.flow.passed(passage, data, actor.node)

    def _written(self, writer: PoolActor, group: Group, future: Future[Any]) -> None:
        if writer.is_gone:
            return  # its group has been seen to
        try:
            outcome: Outcome = future.result()
        except LOST_ACTOR as error:
            self.writing.discard(group)
            self.recovery.lost_writer(writer, error)
            return
        except LOST_DATA as error:
            self.writing.discard(group)
            self.writers.gave_back(writer, group, at_fault=False)
            self.recovery.write_again(group, error, writer, is_data_lost=True)
            return
        self.writing.discard(group)
        self.writers.gave_back(writer, group, at_fault=outcome.fault is not None)
        if outcome.fault is not None:
            self._leave(list(group.members.values()), outcome, **self.recovery.where(writer.node))
        else:
            self.faults_in_a_row = 0
            self._committed(list(group.members.values()), outcome, **self.recovery.where(writer.node))

    # Accounts.

    def _committed(self, passages: Sequence[Passage], outcome: Outcome, **where: Any) -> None:
        self.record.committed([each.key for each in passages], outcome.failures, **where)
        self._settle(passages)

    def _settle(self, passages: Sequence[Passage]) -> None:
        self.num_done += len(passages)
        self.settled.extend(each.key for each in passages)
        for passage in passages:
            self.flow.settled(passage)

    def _leave(self, passages: Sequence[Passage], outcome: Outcome, **where: Any) -> None:
        """Leave units to the next run; and all others too, if they would only meet the same."""
        assert outcome.fault is not None
        count_left(self.waiting, outcome.fault, len(passages))
        self.record.left([each.key for each in passages], outcome.fault, **where)
        for passage in passages:
            self.flow.settled(passage)
        self.faults_in_a_row += 1
        if outcome.is_for_all:
            self.end(outcome.fault)
        elif self.faults_in_a_row >= max(MIN_FAULTS, 2 * sum(pool.num_places for pool in self.pools)):
            self.end(f"{outcome.fault}, {self.faults_in_a_row} times in a row")

    # Looking around.

    def _look_around(self, report: Report) -> None:
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + REPORT_INTERVAL_S
        if now_s >= self._next_nodes_s:
            self._next_nodes_s = now_s + NODES_INTERVAL_S
            self._look_at_nodes()
            self._more.ask(self._wanted())
        _, silence = self._look(report)
        self.tidying.committed(self.num_done)
        complaint = complaint_of(silence, self.job.execution, [pool.config for pool in self.pools])
        if complaint:
            raise TimeoutError(complaint)
        self._end_overdue(silence)
        for pool in self.pools:
            if not self.flow.has_waiting(pool.number):
                pool.shrink()

    def _look(self, report: Report, *, is_over: bool = False) -> tuple[Progress, Silence]:
        """Take the totals of now, and show them to everybody who watches."""
        progress, silence = self._snapshot()
        report(progress)
        ended = why_ended(progress, self.num_left, ending=self.ending) if is_over else None
        status = self.view.status(
            progress, silence, [self._pool_status(pool, silence) for pool in (*self.pools, self.writers)],
            nodes=len(self.recovery.nodes), attempts=self.num_given, lost=self.recovery.lost, ending=self.ending,
            ended=ended,
        )  # fmt: skip
        self.record.show(status)
        self._status = status
        stage_times, self.stage_times = self.stage_times, []
        self._when(self.ledger.publish.remote(status, stage_times), self._published)
        return progress, silence

    def _stay_seen(self) -> None:
        """Publish the last totals until what watches the run has looked once more: they go with the ledger."""
        if self.is_ended_by_signal:
            return
        local_s = 2 * SCRAPE_S if running_monitor() is not None else 0.0
        # Only an alert is worth the wait where nobody knows whether the cluster is watched.
        cluster_s = CLUSTER_SCRAPE_S + REPORT_INTERVAL_S if given_address() is not None and self.num_left else 0.0
        until_s = time.monotonic() + max(local_s, cluster_s)
        while time.monotonic() < until_s:
            self.ledger.publish.remote(self._status)
            time.sleep(REPORT_INTERVAL_S)

    def _published(self, future: Future[Any]) -> None:
        """Tell once that metrics cannot be published; the run goes on without them."""
        error = future.exception()
        if isinstance(error, RayTaskError) and not self._is_unpublished:
            self._is_unpublished = True
            notes.tell(f"the metrics of the run cannot be published: {' '.join(str(error.cause).split())}")

    def _pool_status(self, pool: ActorPool, silence: Silence) -> PoolStatus:
        if pool is self.writers:
            waiting, places = sum(len(group.members) for group in self.flow.ready), self.job.units_per_commit
        else:
            waiting, places = self._num_waiting(pool.number), 1
        ready = sum(actor.is_ready for actor in pool.actors)
        loads = silence.loads.get(pool.config.name, Loads())
        return PoolStatus(
            name=pool.config.name, stages=pool.config.stages, ready=ready, starting=len(pool.actors) - ready,
            most=pool.size.max, places=pool.num_places * places, waiting=waiting,
            in_hand=sum(len(actor.keys) for actor in pool.actors), loads=loads.number, loading_s=loads.seconds,
        )  # fmt: skip

    def _snapshot(self) -> tuple[Progress, Silence]:
        """The ledger's totals with what only the driver knows."""
        settled, self.settled = self.settled, []
        progress: Progress
        silence: Silence
        try:
            progress, silence = ray.get(self.ledger.snapshot.remote(settled), timeout=LEDGER_TIMEOUT_S)
        except ray.exceptions.GetTimeoutError as error:
            raise TimeoutError(ledger_is_silent()) from error
        being_written = {key for group in self.writing for key in group.members}
        between_pools = sum(map(len, (*self.flow.queues[1:], *self.flow.suspects[1:])))
        in_work = len(silence.in_hand.keys() & self.flow.open.keys() - being_written) + between_pools
        finished = self.flow.num_finished + len(being_written)
        return replace(progress, units_in_work=in_work, units_finished=finished, waiting=self.waiting.copy()), silence

    def _look_at_nodes(self) -> None:
        """Have as many actors as the nodes hold that are there now, and stay."""
        nodes = self.recovery.look() - self.recovery.leaving
        for pool in (*self.pools, self.writers):
            pool.leave(self.recovery.leaving)
        if nodes == self._sized_for:
            return
        self._sized_for = nodes
        with suppress(ConfigError):  # too few for the profile: what is there goes on, and others may come
            placed = placed_pools(self.job, leaving=self.recovery.leaving)
            for pool, now in zip(self.pools, placed, strict=True):
                pool.resize(now.actors)
        self.writers.resize(ActorRange(min=1, max=max(MIN_WRITERS, len(nodes))))

    def _wanted(self) -> dict[PoolConfig, int]:
        """Actors that there would be work for, of pools that take as many as the cluster holds; at most as many again
        as there are."""
        wanted = {}
        for pool in self.pools:
            waiting = self._num_waiting(pool.number)
            is_busy = sum(actor.is_ready for actor in pool.actors) >= pool.size.max and waiting > pool.num_places
            if pool.config.actors is None and is_busy and self._has_room_behind(pool.number):
                wanted[pool.config] = min(waiting // pool.config.units_in_flight, pool.size.max)
        return wanted

    def _end_overdue(self, silence: Silence) -> None:
        """End actors that work on a unit and have been silent for longer than a living machine would let them."""
        limit_s = self.job.execution.unit_timeout_s + OVERDUE_S
        overdue = {unit for unit, seconds in silence.in_hand.items() if seconds > limit_s}
        for pool in (*self.pools, self.writers) if overdue else ():
            for actor in [each for each in pool.actors if overdue & each.keys]:
                overdue -= actor.keys
                ray.kill(actor.handle)
        if overdue:  # of workers that had been given up, and came back for a moment
            self.ledger.forget.remote(sorted(overdue))

    def _told_to_end(self) -> None:
        self.is_ended_by_signal = True

    # Bounds.

    def _has_room_behind(self, number: int) -> bool:
        """Whether what a pool would finish has a place: units that wait with their data fill memory."""
        if number + 1 < len(self.pools):
            return len(self.flow.queues[number + 1]) < 2 * self.pools[number + 1].num_places
        if self.commits_in_pool:
            return True
        uncommitted = self.flow.num_finished + sum(len(group.members) for group in self.writing)
        return uncommitted < self.pools[number].num_places + 4 * self.job.units_per_commit

    def _num_waiting(self, number: int) -> int:
        """Units that wait for a pool."""
        waiting = len(self.flow.queues[number])
        if number == 0 and not self.flow.is_exhausted:
            waiting += self.num_left - len(self.flow.open)
        return waiting

    def _has_earlier_work(self) -> bool:
        """Whether units may still come to be committed."""
        return self.flow.is_passing or any(actor.in_hand for pool in self.pools for actor in pool.actors)

    def _is_over(self) -> bool:
        return not (self._has_earlier_work() or self.writing or self.flow.num_finished)
