"""Machines that a cluster starts when they are asked for: a run that finds no room waits until they have come, and one
that has more work than room goes on asking.

What Ray's autoscalers start machines for is a reservation that nothing fills yet. It is given up as soon as the machine
is there: actors then take its place.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any, Final

import ray
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group

from infra.jobs.job import Job
from infra.jobs.notes import tell
from infra.jobs.placement import (
    TYPE_PREFIX,
    ActorRange,
    ExecutionConfig,
    NodeResources,
    NoRoomError,
    PlacedPool,
    PoolConfig,
    resolve_pools,
)

POLL_S: Final = 1.0
PENDING: Final = "PENDING"
"""What Ray calls a reservation that nothing fills yet."""
MAX_ASKED: Final = 32
"""Reservations of a pool at a time: each is a call to Ray's control store every few seconds."""
TYPE_SHARE: Final = 0.001
"""Of the resource by which a node says what accelerator it has: Ray's own tasks take so much."""


def pools_with_room(job: Job[Any]) -> list[PlacedPool]:
    """The job's pools, on the cluster as it is, or as it is when it has started what they need.

    Raises:
        ConfigError: the pools do not fit the stages.
        NoRoomError: there is no room for them, nor comes within `machines_timeout_s`.
    """
    try:
        return placed_pools(job)
    except NoRoomError as error:
        timeout_s = job.execution.machines_timeout_s
        if not timeout_s:
            raise
        tell(f"waiting for machines: {error}")
    reserved = placement_group(least_reservations(job.execution), strategy="PACK", name=f"{job.name}/machines")
    try:
        return _wait_for_room(job, timeout_s)
    finally:
        remove_placement_group(reserved)


def placed_pools(job: Job[Any], *, leaving: Collection[str] = ()) -> list[PlacedPool]:
    """The job's pools on the cluster as it is now, without nodes that are about to be taken away.

    Raises:
        ConfigError: they do not fit the stages or the cluster.
    """
    staying = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in leaving]
    nodes = [NodeResources.from_ray(node["Resources"]) for node in staying]
    return resolve_pools(job.execution.pools, job.stages, nodes)


class MoreMachines:
    """Reservations for actors that a run has work and no room for. Those of a driver that is gone are given up."""

    def __init__(self, job: Job[Any]) -> None:
        """Args:
        job: of the run; nothing is asked for where `machines_timeout_s` is 0.
        """
        self._name = job.name
        self._is_on = job.execution.machines_timeout_s > 0
        self._asked: dict[PoolConfig, list[PlacementGroup]] = {}

    def ask(self, wanted: Mapping[PoolConfig, int]) -> None:
        """Ask for room for so many more actors of these pools, and for no others; to be called again and again."""
        if not self._is_on:
            return
        for pool in self._asked.keys() | wanted.keys():
            held = self._asked.get(pool, [])
            pending = [group for group in held if placement_group_table(group)["state"] == PENDING]
            most = min(wanted.get(pool, 0), MAX_ASKED)
            kept = pending[:most]
            for group in held:
                if group not in kept:
                    remove_placement_group(group)
            new = most - len(kept) if (bundle := _reservation(pool)) else 0
            kept += [placement_group([bundle], name=f"{self._name}/machines") for _ in range(new)]
            self._asked[pool] = kept


def least_reservations(execution: ExecutionConfig) -> list[dict[str, float]]:
    """What the least actors of all pools reserve, and one that commits."""
    reserved = [_reservation(pool) for pool in execution.pools for _ in range(_least(pool))]
    writer = {"CPU": execution.writer_cpus} if execution.writer_cpus else {}
    return [each for each in (*reserved, writer) if each]


def _wait_for_room(job: Job[Any], timeout_s: float) -> list[PlacedPool]:
    deadline_s = time.monotonic() + timeout_s
    while True:
        time.sleep(POLL_S)
        try:
            return placed_pools(job)
        except NoRoomError as error:
            if time.monotonic() > deadline_s:
                raise NoRoomError(f"{error}; no machines came within {timeout_s:g} s") from error


def _reservation(pool: PoolConfig) -> dict[str, float]:
    kind = {} if pool.accelerator_type is None else {f"{TYPE_PREFIX}{pool.accelerator_type}": TYPE_SHARE}
    amounts = {"CPU": pool.num_cpus, "GPU": pool.num_gpus, "memory": (pool.memory_gb or 0.0) * 1e9}
    return {what: amount for what, amount in amounts.items() if amount} | kind


def _least(pool: PoolConfig) -> int:
    if isinstance(pool.actors, ActorRange):
        return pool.actors.min
    return pool.actors or 1
