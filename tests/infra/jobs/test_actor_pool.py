"""Which actor of a pool takes the next unit, and which are started and ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from infra.jobs import actor_pool
from infra.jobs.actor_pool import IDLE_S, MAX_FAULTS, ActorPool, PoolActor
from infra.jobs.flow import Group, Passage
from infra.jobs.placement import ActorRange, PlacedPool, PoolConfig


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Handles of actors that were ended."""
    found: list[Any] = []
    monkeypatch.setattr("infra.jobs.actor_pool.ray.kill", found.append)
    return found


def pool_of(least: int, most: int, *, in_flight: int = 1) -> ActorPool:
    """A pool whose actors have started as soon as they are asked for."""
    config = PoolConfig(name="all", units_in_flight=in_flight)
    numbers = iter(range(100))

    def start(pool: ActorPool) -> PoolActor:
        return PoolActor(handle=next(numbers), pool=pool, node="here")

    pool = ActorPool(0, PlacedPool(config=config, actors=ActorRange(min=least, max=most)), start)
    pool.fill(most=100)
    return pool


def unit(name: str, *, is_alone: bool = False) -> Passage:
    return Passage(key=name, planned=b"", data=b"", is_alone=is_alone)


def test_the_actor_with_the_least_in_hand_takes_the_next_unit_and_none_more_than_it_can_work_on() -> None:
    pool = pool_of(2, 2)
    for name in "ab":
        actor = pool.free(ahead=False)
        assert actor is not None
        pool.took(actor, unit(name))
    assert [len(actor.in_hand) for actor in pool.actors] == [1, 1]
    assert pool.free(ahead=False) is None
    assert pool.free(ahead=True) is not None, "as many again may lie ready"


def test_who_must_be_alone_gets_an_empty_actor_or_one_that_empties() -> None:
    pool = pool_of(2, 2, in_flight=2)
    first, second = pool.actors
    a, suspect = unit("a"), unit("suspect", is_alone=True)
    pool.took(first, a)
    assert pool.empty() is second
    pool.took(second, unit("b"))
    assert pool.empty() is None
    assert [actor.is_reserved for actor in pool.actors] == [True, False]
    assert pool.free(ahead=False) is second
    pool.gave_back(first, a, at_fault=False)
    assert pool.empty() is first
    pool.took(first, suspect)
    assert pool.free(ahead=True) is second, "nobody joins it"
    pool.gave_back(first, suspect, at_fault=False)
    assert not first.is_reserved


def test_an_actor_that_fails_for_its_machine_several_times_in_a_row_is_ended_when_it_is_empty(
    killed: list[Any],
) -> None:
    pool = pool_of(1, 1, in_flight=2)
    (actor,) = pool.actors
    other = unit("other")
    pool.took(actor, other)
    for _ in range(MAX_FAULTS):
        failed = unit("failed")
        pool.took(actor, failed)
        pool.gave_back(actor, failed, at_fault=True)
    assert pool.free(ahead=True) is None, "it gets nothing more"
    assert not killed
    pool.gave_back(actor, other, at_fault=True)
    assert (killed, pool.actors) == ([0], [])
    pool.fill(most=1)
    assert [each.handle for each in pool.actors] == [1]


def test_a_success_between_faults_clears_an_actor(killed: list[Any]) -> None:
    pool = pool_of(1, 1)
    for at_fault in [True, True, False] * 3:
        each = unit("x")
        pool.took(pool.actors[0], each)
        pool.gave_back(pool.actors[0], each, at_fault=at_fault)
    assert not killed


def test_a_pool_grows_one_by_one_and_ends_what_has_long_been_idle(
    killed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(1, 3)
    for _ in range(5):
        pool.grow()
    assert len(pool.actors) == 3
    pool.took(pool.actors[0], unit("a"))
    pool.shrink()
    assert not killed
    later = SimpleNamespace(monotonic=lambda: pool.actors[0].idle_since_s + 2 * IDLE_S)
    monkeypatch.setattr(actor_pool, "time", later)
    pool.shrink()
    assert killed == [1, 2]


def test_no_more_actors_start_than_there_are_units_and_none_while_another_starts() -> None:
    pool = pool_of(1, 1)
    pool.resize(ActorRange(min=4, max=6))
    pool.fill(most=2)
    assert len(pool.actors) == 2
    pool.actors[-1].node = None
    pool.grow()
    assert len(pool.actors) == 2


def test_when_nodes_leave_actors_that_have_no_place_yet_are_given_up_first(killed: list[Any]) -> None:
    pool = pool_of(3, 3)
    pool.actors[1].node = None
    pool.resize(ActorRange(min=2, max=2))
    assert killed == [1]
    assert [actor.handle for actor in pool.actors] == [0, 2]


def test_the_units_of_a_group_are_in_hand_too() -> None:
    pool = pool_of(1, 1)
    (actor,) = pool.actors
    pool.took(actor, Group(key="group 0", members={"a": unit("a"), "b": unit("b")}))
    assert actor.keys == {"a", "b"}
    assert [each.key for each in pool.lost(actor)] == ["group 0"]
    assert actor.is_gone
    assert not pool.actors


def test_an_actor_on_a_node_that_leaves_gets_nothing_more_and_ends_with_what_it_has_in_hand(killed: list[Any]) -> None:
    pool = pool_of(3, 3)
    staying, busy, idle = pool.actors
    busy.node = idle.node = "leaving"
    a = unit("a")
    pool.took(busy, a)
    pool.leave({"leaving"})
    assert killed == [idle.handle], "it has nothing in hand"
    pool.took(staying, unit("b"))
    assert pool.free(ahead=True) is staying
    pool.gave_back(busy, a, at_fault=False)
    assert killed == [idle.handle, busy.handle]
    assert pool.actors == [staying]
