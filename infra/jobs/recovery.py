"""What becomes of units whose worker, node or data is gone: only what was in work is done anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import ray
from ray.exceptions import (
    ActorDiedError,
    ObjectFetchTimedOutError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
)

from infra.jobs.actor_pool import PoolActor
from infra.jobs.flow import Flow, Group, Passage
from infra.jobs.placement import ExecutionConfig, PoolConfig
from infra.jobs.pool_worker import SHORT_ID, Outcome
from infra.jobs.progress import Left
from infra.jobs.record import RunRecord

LOST_DATA: Final = (ObjectLostError, ObjectFetchTimedOutError)
LOST_ACTOR: Final = (RayActorError, OutOfMemoryError)
"""The latter of one that Ray has ended because its node runs out of memory."""
MAX_LOST: Final = 20
"""Nodes that may leave with one unit before it is left to the next run, or writers that may die over one commit."""
NO_MEMORY: Final = "low on memory"
"""What Ray says of a worker that it has ended because its node runs out of memory."""
WORKER, NODE, MEMORY, WRITER, DATA = "worker died", "node left", "no memory", "writer died", "data gone"
"""What units are lost to."""


class Recovery:
    """Decides, by what the ledger has heard and which nodes there are, where the units of a lost worker go on."""

    def __init__(
        self,
        flow: Flow,
        ledger: ray.actor.ActorHandle,
        execution: ExecutionConfig,
        *,
        settle: Callable[[Sequence[Passage]], None],
        leave: Callable[[Sequence[Passage], Outcome], None],
        record: RunRecord,
    ) -> None:
        """Args:
        flow: where units go on.
        ledger: of the run.
        execution: with its limits.
        settle: called with units that turn out to be committed.
        leave: called with units that are left to the next run, and why.
        record: of the run.
        """
        self.flow = flow
        self.ledger = ledger
        self.execution = execution
        self.nodes: frozenset[str] = frozenset()
        """Those that the cluster has, as far as is known."""
        self.leaving: frozenset[str] = frozenset()
        """Those of them that are about to be taken away (`infra.jobs.leaving`): nothing begins there any more."""
        self.addresses: dict[str, str] = {}
        """Of every node that was ever seen."""
        self.lost: Counter[str] = Counter(dict.fromkeys((WORKER, NODE, MEMORY, WRITER, DATA), 0))
        """Units that began anew, by what their worker was lost to."""
        self._settle = settle
        self._leave = leave
        self._record = record

    def look(self) -> frozenset[str]:
        """See which nodes there are now."""
        known = ray.nodes()
        self.addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in known}
        nodes = frozenset(node["NodeID"] for node in known if node["Alive"])
        leaving = nodes.intersection(ray._private.state.state.get_draining_nodes())
        events = {
            "node_joined": nodes - self.nodes,
            "node_leaving": leaving - self.leaving,
            "node_left": self.nodes - nodes,
        }
        for event, changed in events.items():
            for node in changed:
                self._record.log(event, **self.where(node))
        self.nodes, self.leaving = nodes, leaving
        return self.nodes

    def where(self, node: str | None) -> dict[str, Any]:
        """A node as logs name it."""
        return {"node": self.addresses.get(node or ""), "node_id": None if node is None else node[:SHORT_ID]}

    def lost_actor(self, actor: PoolActor, error: RayError) -> None:
        """See to the units of a pool's actor that is gone."""
        passages = [unit for unit in _ended(actor) if isinstance(unit, Passage)]
        left = ray.get(self.ledger.left.remote([each.key for each in passages]))
        self.look()
        # Out of reach: nobody knows how far its units are.
        is_lost = not isinstance(error, ActorDiedError | OutOfMemoryError)
        is_out_of_memory = isinstance(error, OutOfMemoryError) or NO_MEMORY in str(error)
        is_away = is_lost or actor.node not in self.nodes
        reason = NODE if is_away else MEMORY if is_out_of_memory else WORKER
        self._found_committed([passage for passage in passages if passage.key in left.committed], left, actor)
        for passage in passages:
            if passage.key in left.committed:
                continue
            if passage.key not in left.begun:
                self._hand_back(passage)
                continue
            self._count_lost([passage], reason, actor, stage=left.stages.get(passage.key))
            if is_away:
                self.begin_anew(passage)
            else:
                self._died_over(actor, passage, is_alone=len(left.begun) == 1, is_out_of_memory=is_out_of_memory)

    def lost_writer(self, writer: PoolActor, error: RayError) -> None:
        """See to the group of an actor that was committing it and is gone."""
        for group in _ended(writer):
            assert isinstance(group, Group)
            left = ray.get(self.ledger.left.remote(list(group.members)))
            if left.committed:  # units of a group are committed together
                self._found_committed(list(group.members.values()), left, writer)
            else:
                self.write_again(group, error, writer)

    def write_again(self, group: Group, error: RayError, writer: PoolActor, *, is_data_lost: bool = False) -> None:
        """Let a group be committed anew, once members whose data is lost have been computed anew.

        Args:
            group: what was not committed.
            error: by which that was heard.
            writer: who was to commit it.
            is_data_lost: whether not the writer is gone, but what it was to write.

        Raises:
            RayError: its commit has failed too often.
        """
        group.attempts += 1
        if group.attempts > MAX_LOST:
            raise error
        self.look()
        members = list(group.members.values())
        gone = [each for each in members if each.node is not None and each.node not in self.nodes]
        if not gone and is_data_lost:
            gone = members  # nobody says which of them is lost
        if not is_data_lost:
            self._count_lost(members, WRITER, writer)
        for passage in gone:
            self.begin_anew(passage, from_start=True)
        self.flow.put_back(group)

    def begin_anew(self, passage: Passage, *, from_start: bool = False) -> None:
        """Let a unit that a node has taken along pass its pool again, or all of them if its data is lost."""
        passage.num_lost += 1
        if from_start:
            self._count_lost([passage], DATA)
        if passage.num_lost > MAX_LOST:
            self._leave([passage], Outcome(fault=f"its node was lost {MAX_LOST} times"))
        elif from_start or not self._has_data(passage):
            self.flow.from_start(passage)
        else:
            self.flow.again(passage)

    def given_up(self, pool: PoolConfig, passage: Passage) -> str | None:
        """Why no further worker of a pool is to try a unit; None if one is."""
        attempts = self._num_attempts(passage)
        if attempts < self._max_attempts(pool):
            return None
        alone = ", the last time with no other unit in work" if pool.units_in_flight > 1 else ""
        return f"its worker in pool {pool.name!r} died or hung {attempts} times{alone}"

    def _died_over(self, actor: PoolActor, passage: Passage, *, is_alone: bool, is_out_of_memory: bool) -> None:
        """See to a unit whose worker has died, and its node has not."""
        assert actor.node is not None
        pool = actor.pool.config
        passage.died_on.append(actor.node)
        passage.is_alone = pool.units_in_flight > 1
        attempts = self._num_attempts(passage)
        if is_out_of_memory and is_alone and attempts >= self._max_attempts(pool):
            fault = f"no memory: Ray ended its worker in pool {pool.name!r} {attempts} times"
            self._leave([passage], Outcome(fault=fault))
        else:
            self._hand_back(passage)

    def _count_lost(
        self, passages: Sequence[Passage], reason: str, actor: PoolActor | None = None, *, stage: str | None = None
    ) -> None:
        self.lost[reason] += len(passages)
        where = {} if actor is None else {"pool": actor.pool.config.name, **self.where(actor.node)}
        for passage in passages:
            self._record.log(
                "lost", level="warning", unit=passage.key, attempt=passage.attempt or None, stage=stage, reason=reason,
                **where,
            )  # fmt: skip

    def _found_committed(self, passages: Sequence[Passage], left: Left, actor: PoolActor) -> None:
        """See to units whose commit was done when their worker died."""
        self._record.committed([each.key for each in passages], left.failures, **self.where(actor.node))
        self._settle(passages)

    def _hand_back(self, passage: Passage) -> None:
        """Let a unit pass its pool again, with the data that it came with if that is still there."""
        if self._has_data(passage):
            self.flow.again(passage)
        else:
            self.begin_anew(passage, from_start=True)

    def _has_data(self, passage: Passage) -> bool:
        return passage.node is None or passage.node in self.nodes

    def _num_attempts(self, passage: Passage) -> int:
        """Workers that have died over a unit. Those on a node that has left by now died with it, though it may have
        seemed to be alive for a moment longer."""
        return sum(node in self.nodes for node in passage.died_on)

    def _max_attempts(self, pool: PoolConfig) -> int:
        """How often a unit is tried. Where there is company, the last try is alone, so there are two at least."""
        return max(self.execution.max_attempts, 2 if pool.units_in_flight > 1 else 1)


def _ended(actor: PoolActor) -> list[Passage | Group]:
    """What an actor had in hand that is gone, or out of reach: then it must not come back."""
    with suppress(RayError):
        ray.kill(actor.handle)
    return actor.pool.lost(actor)
