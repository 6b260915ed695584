"""The actors of one pool, as the driver sees them: what each has in hand, and which takes the next unit.

Those that commit are a pool too, whose units are groups. (Tasks will not do: when a node stands still, Ray tells of its
actors, and not of tasks that it was given.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import ray

from infra.jobs.flow import Group, Passage
from infra.jobs.placement import ActorRange, PlacedPool

IDLE_S: Final = 60.0
"""An actor beyond the pool's least number that has had nothing to do for so long is ended."""
MAX_FAULTS: Final = 3
"""Units in a row that an actor could not do because of its machine; then it is ended, and another takes its place."""


@dataclass(eq=False, kw_only=True, slots=True)
class PoolActor:
    """One actor of a pool."""

    handle: Any
    pool: ActorPool = field(repr=False)
    in_hand: dict[str, Passage | Group] = field(default_factory=dict)
    """What was given to it and have not come back."""
    node: str | None = None
    """Where it runs; None while it starts."""
    faults: int = 0
    """Units in a row that it could not do because of its machine."""
    is_reserved: bool = False
    """Whether it gets nothing until it is empty, for a unit that must be alone."""
    is_leaving: bool = False
    """Whether its node is about to be taken away."""
    is_gone: bool = False
    idle_since_s: float = field(default_factory=time.monotonic)

    @property
    def keys(self) -> set[str]:
        """Keys of the units that it has in hand, also of those in groups."""
        return {
            key for unit in self.in_hand.values() for key in (unit.members if isinstance(unit, Group) else [unit.key])
        }

    @property
    def is_ready(self) -> bool:
        """Whether it has loaded what it needs."""
        return self.node is not None and not self.is_gone

    @property
    def is_retiring(self) -> bool:
        """Whether it gets no further units."""
        return self.is_leaving or self.faults >= MAX_FAULTS


class ActorPool:
    """The actors of one pool."""

    def __init__(self, number: int, placed: PlacedPool, start: Callable[[ActorPool], PoolActor]) -> None:
        """Args:
        number: of the pool among those that a unit passes.
        placed: the pool, and how many actors it may have.
        start: starts an actor for the pool.
        """
        self.number = number
        self.config = placed.config
        self.size = placed.actors
        self.actors: list[PoolActor] = []
        self.has_started = False
        """Whether any actor has ever loaded what it needs."""
        self.num_failed_starts = 0
        """Actors in a row that could not."""
        self._start = start

    @property
    def num_places(self) -> int:
        """Units that can be in work at once."""
        return self.size.max * self.config.units_in_flight

    def resize(self, size: ActorRange) -> None:
        """Have another number of actors: nodes have come or gone. Those that wait for a place are given up first."""
        self.size = size
        for actor in [each for each in self.actors if not each.is_ready][: max(0, len(self.actors) - size.max)]:
            self.end(actor)

    def leave(self, nodes: Collection[str]) -> None:
        """Give actors on these nodes nothing any more; each ends when it has nothing in hand."""
        for actor in [each for each in self.actors if each.node in nodes]:
            actor.is_leaving = True
            if not actor.in_hand:
                self.end(actor)

    def fill(self, *, most: int) -> None:
        """Start the actors that are always there, though no more than there are units."""
        while len(self.actors) < min(self.size.min, most):
            self.actors.append(self._start(self))

    def grow(self) -> None:
        """Start one more actor, if the pool may have one and none is starting."""
        if len(self.actors) < self.size.max and all(actor.is_ready for actor in self.actors):
            self.actors.append(self._start(self))

    def shrink(self) -> None:
        """End actors that the pool need not have and that have long been idle."""
        long_ago_s = time.monotonic() - IDLE_S
        for actor in [each for each in self.actors if each.is_ready and not each.in_hand]:
            if len(self.actors) > self.size.min and actor.idle_since_s < long_ago_s:
                self.end(actor)

    def free(self, *, ahead: bool) -> PoolActor | None:
        """The actor that takes the next unit: the one with the least in hand; None if there is no room.

        Args:
            ahead: whether as many units again may lie ready at an actor as it works on.
        """
        open_ = [actor for actor in self._usable() if not actor.is_reserved]
        least = min(open_, key=lambda actor: len(actor.in_hand), default=None)
        most = self.config.units_in_flight * (2 if ahead else 1)
        return least if least is not None and len(least.in_hand) < most else None

    def empty(self) -> PoolActor | None:
        """An actor for a unit that must be alone. If none is empty, one is reserved: it gets nothing until it is."""
        usable = self._usable()
        empty = next((actor for actor in usable if not actor.in_hand), None)
        if empty is None and usable and not any(actor.is_reserved for actor in usable):
            min(usable, key=lambda actor: len(actor.in_hand)).is_reserved = True
        return empty

    def took(self, actor: PoolActor, unit: Passage | Group) -> None:
        """Note that an actor has been given a unit."""
        actor.in_hand[unit.key] = unit
        actor.is_reserved = unit.is_alone

    def gave_back(self, actor: PoolActor, unit: Passage | Group, *, at_fault: bool) -> None:
        """Note that a unit has come back, and whether the actor's machine was at fault."""
        actor.in_hand.pop(unit.key, None)
        actor.faults = actor.faults + 1 if at_fault else 0
        actor.idle_since_s = time.monotonic()
        if unit.is_alone:
            actor.is_reserved = False
        if actor.is_retiring and not actor.in_hand:
            self.end(actor)

    def lost(self, actor: PoolActor) -> list[Passage | Group]:
        """Note that an actor is gone; returns what it had in hand."""
        actor.is_gone = True
        if actor in self.actors:
            self.actors.remove(actor)
        units = list(actor.in_hand.values())
        actor.in_hand.clear()
        return units

    def end(self, actor: PoolActor) -> None:
        """End an actor that has nothing in hand."""
        self.lost(actor)
        with suppress(ray.exceptions.RayError):
            ray.kill(actor.handle)

    def _usable(self) -> list[PoolActor]:
        return [actor for actor in self.actors if actor.is_ready and not actor.is_retiring]
