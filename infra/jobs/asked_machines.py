"""Machines that a cluster starts when they are asked for: a run that finds no room waits until they have come."""

from __future__ import annotations

import time
from typing import Any, Final

from ray.util.placement_group import placement_group, remove_placement_group

from infra.jobs.driver import placed_pools
from infra.jobs.job import Job
from infra.jobs.notes import tell
from infra.jobs.placement import TYPE_PREFIX, ActorRange, ExecutionConfig, NoRoomError, PlacedPool, PoolConfig

POLL_S: Final = 1.0
TYPE_SHARE: Final = 0.001
"""Of the resource by which a node says what accelerator it has: Ray's own tasks take so much."""


def pools_with_room(job: Job[Any]) -> list[PlacedPool]:
    """The job's pools, on the cluster as it is, or as it is when it has started what they need.

    A group of reservations that nothing fills yet is what Ray's autoscalers start machines for. It is given up as soon
    as the machines are there: the actors then take their place.

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


def least_reservations(execution: ExecutionConfig) -> list[dict[str, float]]:
    """What the least actors of all pools reserve, and one that commits."""
    reserved = [_reservation(pool) for pool in execution.pools for _ in range(_least(pool))]
    return [*reserved, {"CPU": execution.writer_cpus}]


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
