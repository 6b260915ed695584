"""Where the units of a run are: waiting for a pool, passing through it, or together with others for a commit.

Only the driver has this. It knows of every unit what a lost worker means for it, so nothing has to be done anew but
what was in work: a unit is handed out alone, and counts as done when its commit has been heard of.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(eq=False, kw_only=True, slots=True)
class Passage:
    """A unit on its way through the pools."""

    key: str
    planned: bytes = field(repr=False)
    """The unit as it was planned, pickled, with which it can begin anew."""
    data: Any = field(repr=False)
    """The unit as the last pool left it, pickled: bytes, or Ray's reference to them."""
    pool: int = 0
    """Number of the pool that it waits for or is in."""
    node: str | None = None
    """Where `data` lies; None for the driver's own memory."""
    died_on: list[str] = field(default_factory=list)
    """Nodes of the workers of its present pool that have died over it."""
    is_alone: bool = False
    """Whether it is tried with no other unit in work, because a worker that had several has died."""
    num_lost: int = 0
    """How often its worker or its data went away with a node."""
    attempt: int = 0
    """Times that it was given to a worker of its present pool."""
    group: Group | None = field(default=None, repr=False)


@dataclass(eq=False, kw_only=True, slots=True)
class Group:
    """Units that are committed together.

    It stays together once it is formed: a commit is named after its units, so that one which is tried again replaces
    what an earlier try, or a machine that was thought to be dead, has written.
    """

    key: str = ""
    """Tells it from other groups of the run."""
    members: dict[str, Passage] = field(default_factory=dict)
    """Units that are finished, by key."""
    missing: set[str] = field(default_factory=set)
    """Keys of members whose data was lost, and which are computed anew."""
    attempts: int = 0
    """Writers that have died over its commit."""
    is_alone: ClassVar[bool] = False


class Flow:
    """The units of a run that are not committed."""

    def __init__(self, plan: Iterator[Passage], num_pools: int, units_per_commit: int) -> None:
        """Args:
        plan: the units, made as they are asked for.
        num_pools: through which they pass.
        units_per_commit: as the job says; a last pool that commits itself reports its units with `settled`.
        """
        self.plan = plan
        self.units_per_commit = units_per_commit
        self.queues: list[deque[Passage]] = [deque() for _ in range(num_pools)]
        """By pool, those that wait for it."""
        self.suspects: list[deque[Passage]] = [deque() for _ in range(num_pools)]
        """By pool, those that wait to be alone in it: they hold up nobody."""
        self._numbers = itertools.count()
        self.forming = self._new_group()
        self.ready: deque[Group] = deque()
        self.incomplete: set[Group] = set()
        """Groups that wait for members which are computed anew."""
        self.open: dict[str, Passage] = {}
        """Units that have been drawn from the plan and are neither committed nor left."""
        self.is_exhausted = False
        """Whether the plan has no more units, or none of them is to begin."""
        self.is_ending = False
        """Whether nothing is to begin any more."""

    def next_for(self, pool: int) -> Passage | None:
        """The next unit for a pool that need not be alone; None if there is none now."""
        if self.queues[pool]:
            return self.queues[pool].popleft()
        if pool or self.is_exhausted:
            return None
        passage = next(self.plan, None)
        if passage is None:
            self.is_exhausted = True
        else:
            self.open[passage.key] = passage
        return passage

    def has_waiting(self, pool: int) -> bool:
        """Whether such a unit may be there; of the plan's end one knows only when it is reached."""
        return bool(self.queues[pool]) or (pool == 0 and not self.is_exhausted)

    @property
    def is_passing(self) -> bool:
        """Whether units wait for any pool."""
        return any(self.suspects) or any(self.has_waiting(pool) for pool in range(len(self.queues)))

    def passed(self, passage: Passage, data: Any, node: str | None) -> None:
        """Take a unit from its pool to the next, or to those that wait for a commit."""
        passage.data, passage.node = data, node
        passage.pool += 1
        passage.died_on, passage.is_alone, passage.attempt = [], False, 0
        if passage.pool < len(self.queues):
            self.queues[passage.pool].append(passage)
        else:
            self._finished(passage)

    def again(self, passage: Passage) -> None:
        """Let a unit pass its pool anew, before others."""
        if self.is_ending and passage.pool == 0:
            self.settled(passage)
        else:
            (self.suspects if passage.is_alone else self.queues)[passage.pool].appendleft(passage)

    def from_start(self, passage: Passage) -> None:
        """Let a unit whose data is lost begin anew; its group waits for it."""
        if passage.group is not None:
            passage.group.members.pop(passage.key, None)
            passage.group.missing.add(passage.key)
        passage.data, passage.node, passage.pool = passage.planned, None, 0
        passage.died_on, passage.is_alone, passage.attempt = [], False, 0
        self.again(passage)

    def settled(self, passage: Passage) -> None:
        """Nothing is left to do of a unit in this run: it is committed, or left to the next run."""
        self.open.pop(passage.key, None)
        group = passage.group
        if group is not None:
            group.members.pop(passage.key, None)
            group.missing.discard(passage.key)
            if group in self.incomplete and not group.missing:
                self._complete(group)

    def begin_nothing(self) -> None:
        """Let no unit begin any more, not even one that has to begin anew; what is further on goes on."""
        self.is_exhausted = self.is_ending = True
        for waiting in (self.queues[0], self.suspects[0]):
            while waiting:
                self.settled(waiting.popleft())

    def flush(self) -> None:
        """Let finished units be committed though they may be fewer than belong together."""
        if self.forming.members:
            self.ready.append(self.forming)
            self.forming = self._new_group()

    def put_back(self, group: Group) -> None:
        """Let a group be committed anew, as soon as all of its members are there."""
        if group.missing:
            self.incomplete.add(group)
        else:
            self._complete(group)

    @property
    def num_finished(self) -> int:
        """Units that wait for their commit and are not being committed."""
        groups = (self.forming, *self.ready, *self.incomplete)
        return sum(len(group.members) for group in groups)

    def _finished(self, passage: Passage) -> None:
        group = passage.group
        if group is None:
            passage.group = self.forming
            self.forming.members[passage.key] = passage
            if len(self.forming.members) >= self.units_per_commit:
                self.flush()
            return
        group.members[passage.key] = passage
        group.missing.discard(passage.key)
        if group in self.incomplete and not group.missing:
            self._complete(group)

    def _new_group(self) -> Group:
        return Group(key=f"group {next(self._numbers)}")

    def _complete(self, group: Group) -> None:
        self.incomplete.discard(group)
        if group.members:
            self.ready.append(group)
