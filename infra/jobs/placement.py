"""Where stages run: which of them share an actor, how many actors there are and what each may use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from infra.config import ConfigError

TYPE_PREFIX: Final = "accelerator_type:"
"""Begins the name of the resource by which Ray says what accelerator a node has."""
ENVIRONMENT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
TOLERANCE: Final = 1e-6
"""Thirds of a GPU do not add up exactly."""


class NoRoomError(ConfigError):
    """A cluster, as it is, does not hold a profile's pools."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ActorRange:
    """A pool that grows while units wait for it and shrinks when they do not."""

    min: int
    """Actors that are always there."""
    max: int
    """Actors at most, where the cluster has room."""

    def __post_init__(self) -> None:
        """Refuse a range without actors."""
        if not 1 <= self.min <= self.max:
            raise ValueError("min must be at least 1, and max not below it")


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolConfig:
    """A pool of equal actors, each running the same stages in order."""

    name: str
    stages: tuple[str, ...] = ()
    """Names of consecutive stages; empty for all of them."""
    actors: int | ActorRange | None = None
    """Number of actors, or from how many to how many. None for as many as fit: of the GPUs, if an actor reserves any,
    else one a CPU. Several such pools share what the others leave, by their weights."""
    units_in_flight: int = 1
    """Units that an actor works on at a time, in threads, so that a GPU or a server never waits for one source."""
    weight: float = 1.0
    """Share of the GPUs or CPUs among the pools whose number of actors is None."""
    num_cpus: float = 0.8
    """CPUs an actor reserves; below 1 so that those that write shards always find room."""
    num_gpus: float = 0.0
    """GPUs an actor reserves; 0.25 puts four actors on each."""
    memory_gb: float | None = None
    """GB of main memory an actor reserves; None for none, so that nobody counts it."""
    accelerator_type: str | None = None
    """Only on nodes with this accelerator, as Ray names it: H100, L4, …"""
    environment: str | None = None
    """Name of an environment that `make env-NAME` has built, for stages whose packages clash with the others'."""

    def __post_init__(self) -> None:
        """Refuse numbers under which nothing could run."""
        if isinstance(self.actors, int) and self.actors < 1:
            raise ValueError("actors must be at least 1")
        if self.units_in_flight < 1 or self.weight <= 0:
            raise ValueError("units_in_flight must be at least 1, and weight above 0")
        if min(self.num_cpus, self.num_gpus, self.memory_gb or 0.0) < 0:
            raise ValueError("num_cpus, num_gpus and memory_gb must not be negative")
        if self.num_gpus > 1 and self.num_gpus % 1:
            raise ValueError("num_gpus must be a fraction of one GPU, or whole ones")
        if self.environment is not None and not ENVIRONMENT_NAME.fullmatch(self.environment):
            raise ValueError(f"environment is the name of one, such as paddle, and not {self.environment!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionConfig:
    """How a run is spread over Ray and how it deals with files that kill their worker."""

    pools: tuple[PoolConfig, ...] = (PoolConfig(name="all"),)
    writer_cpus: float = 0.2
    """CPUs of an actor that commits units together."""
    max_attempts: int = 3
    """A unit that killed or hung its worker this many times, at work or while its result was passed on, is given up:
    recorded as a failure. One that was not alone in its worker is tried alone from then on, at least once."""
    unit_timeout_s: float = 900.0
    """A worker that works on one unit this long without a sign of life is ended. Every clip is a sign, and waiting for
    a server that is away is no silence."""
    start_timeout_s: float = 600.0
    """A run in which no worker has started, or started again, for this long is broken off. This time includes loading
    weights and, on a shared cluster, waiting for machines."""
    machines_timeout_s: float = 0.0
    """How long a run waits for machines, on a cluster that starts them when they are asked for: as many as one actor of
    each pool needs, or the pool's least number. Later it asks for more while units wait for pools that take as many
    actors as the cluster holds. 0 refuses a run for which there is no room when it begins, and asks for nothing."""
    patience_s: float = 60.0
    """A unit that meets a fault of the machine (a store that throttles, fails or denies access, no space, no memory) is
    tried again for this long, with growing pauses. If the fault persists, the unit is left to the next run."""

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could run."""
        is_late = min(self.unit_timeout_s, self.start_timeout_s) <= 0
        if self.max_attempts < 1 or is_late or min(self.patience_s, self.machines_timeout_s) < 0:
            raise ValueError(
                "max_attempts must be at least 1, unit_timeout_s and start_timeout_s above 0, patience_s and "
                "machines_timeout_s 0 or more"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeResources:
    """What a machine of the cluster has."""

    num_cpus: float
    num_gpus: float = 0.0
    memory_gb: float = float("inf")
    """Main memory that Ray lets actors reserve, in GB."""
    accelerator_type: str | None = None

    @classmethod
    def from_ray(cls, resources: Mapping[str, float]) -> Self:
        """The `Resources` of a node, as Ray lists them."""
        types = [name.removeprefix(TYPE_PREFIX) for name in resources if name.startswith(TYPE_PREFIX)]
        return cls(
            num_cpus=resources.get("CPU", 0.0),
            num_gpus=resources.get("GPU", 0.0),
            memory_gb=resources.get("memory", 0.0) / 1e9,
            accelerator_type=next(iter(types), None),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedPool:
    """A pool on a cluster: its stages are spelled out, and its actors counted."""

    config: PoolConfig
    actors: ActorRange

    @property
    def name(self) -> str:
        """The pool's own."""
        return self.config.name

    @property
    def units_at_a_time(self) -> int:
        """Units that all its actors work on at most."""
        return self.actors.max * self.config.units_in_flight


def resolve_pools(
    pools: Sequence[PoolConfig], stage_names: Sequence[str], nodes: Sequence[NodeResources]
) -> list[PlacedPool]:
    """Each pool with its stages and its number of actors on a cluster of such nodes.

    Raises:
        ConfigError: the pools do not run every stage once and in order.
        NoRoomError: they ask for more than there is.
    """
    filled = [pool if pool.stages else replace(pool, stages=tuple(stage_names)) for pool in pools]
    planned = [stage for pool in filled for stage in pool.stages]
    if planned != list(stage_names):
        raise ConfigError(f"pools run the stages {', '.join(planned)}; they must be {', '.join(stage_names)}, in order")
    if len(filled) != len({pool.name for pool in filled}):
        raise ConfigError(f"two pools have one name: {', '.join(pool.name for pool in filled)}")
    for pool in filled:
        _check_accelerator(pool, nodes)
    sizes = {pool.name: size for pool in filled if (size := _given(pool)) is not None}
    _share_gpus(filled, sizes, nodes)
    _share_cpus(filled, sizes, nodes)
    placed = [PlacedPool(config=pool, actors=sizes[pool.name]) for pool in filled]
    _check_sums(placed, nodes)
    for pool in filled:
        _check_an_actor_fits(pool, nodes)
    _check_gpus_fit(placed, nodes)
    return placed


def _given(pool: PoolConfig) -> ActorRange | None:
    if isinstance(pool.actors, int):
        return ActorRange(min=pool.actors, max=pool.actors)
    return pool.actors


def _may_use(pool: PoolConfig, node: NodeResources) -> bool:
    return pool.accelerator_type in (None, node.accelerator_type)


def _check_accelerator(pool: PoolConfig, nodes: Sequence[NodeResources]) -> None:
    if not any(_may_use(pool, node) for node in nodes):
        types = sorted({node.accelerator_type for node in nodes if node.accelerator_type is not None})
        there = f"there are {', '.join(types)}" if types else "no node has an accelerator that Ray knows"
        raise NoRoomError(f"pool {pool.name!r}: no node has accelerator_type {pool.accelerator_type}; {there}")


def _share_gpus(pools: Sequence[PoolConfig], sizes: dict[str, ActorRange], nodes: Sequence[NodeResources]) -> None:
    """Fill in how many actors the pools have that take as many as the GPUs hold.

    After one each, actor for actor goes to the pool that has least for its weight and for which there is room.
    """
    sharing = [pool for pool in pools if pool.name not in sizes and pool.num_gpus > 0]
    gpus = _Gpus(nodes)
    # Pools that insist on an accelerator choose first.
    for pool in sorted(pools, key=lambda pool: pool.accelerator_type is None):
        for _ in range(sizes[pool.name].max if pool.name in sizes and pool.num_gpus else 0):
            gpus.take(pool)
    counts = {pool.name: 1 for pool in sharing}
    for pool in sorted(sharing, key=lambda pool: pool.accelerator_type is None):
        gpus.take(pool)
    growing = list(sharing)
    while growing:
        least = min(growing, key=lambda pool: counts[pool.name] * pool.num_gpus / pool.weight)
        if gpus.take(least):
            counts[least.name] += 1
        else:
            growing.remove(least)
    sizes.update({name: ActorRange(min=count, max=count) for name, count in counts.items()})


class _Gpus:
    """What is free of each GPU, node by node."""

    def __init__(self, nodes: Sequence[NodeResources]) -> None:
        self.nodes = [
            (node, [1.0] * int(node.num_gpus) + [node.num_gpus % 1] * bool(node.num_gpus % 1)) for node in nodes
        ]

    def take(self, pool: PoolConfig) -> bool:
        """Take what an actor reserves: whole GPUs of one node, or a part of one GPU; whether there was room."""
        count, part = max(1, int(pool.num_gpus)), min(1.0, pool.num_gpus)
        for node, free in self.nodes:
            fitting = sorted(
                (index for index, left in enumerate(free) if left >= part - TOLERANCE), key=free.__getitem__
            )
            if _may_use(pool, node) and len(fitting) >= count:
                for index in fitting[:count]:
                    free[index] -= part
                return True
        return False


def _share_cpus(pools: Sequence[PoolConfig], sizes: dict[str, ActorRange], nodes: Sequence[NodeResources]) -> None:
    """Fill in how many actors the pools have that take one a CPU."""
    sharing = [pool for pool in pools if pool.name not in sizes]
    taken = sum(sizes[pool.name].max * pool.num_cpus for pool in pools if pool.name in sizes)
    weights = sum(pool.weight for pool in sharing)
    for pool in sharing:
        usable = sum(node.num_cpus for node in nodes if _may_use(pool, node))
        count = max(1, int((usable - taken) * pool.weight / weights / max(1.0, pool.num_cpus) + TOLERANCE))
        sizes[pool.name] = ActorRange(min=count, max=count)


def _check_sums(placed: Sequence[PlacedPool], nodes: Sequence[NodeResources]) -> None:
    """Refuse pools that ask for more than the cluster has, all together; of a pool that can grow, its least counts."""

    def asked(of_actor: Callable[[PoolConfig], float]) -> float:
        return sum(pool.actors.min * of_actor(pool.config) for pool in placed)

    gpus, num_gpus = asked(lambda pool: pool.num_gpus), sum(node.num_gpus for node in nodes)
    if gpus > num_gpus + TOLERANCE:
        raise NoRoomError(f"the profile's actors ask for {gpus:g} GPUs and the cluster has {num_gpus:g}")
    memory, memory_gb = asked(lambda pool: pool.memory_gb or 0.0), sum(node.memory_gb for node in nodes)
    if memory > memory_gb:
        raise NoRoomError(f"the profile's actors ask for {memory:g} GB of memory and the cluster has {memory_gb:.3g}")
    cpus, num_cpus = asked(lambda pool: pool.num_cpus), sum(node.num_cpus for node in nodes)
    if cpus >= num_cpus:
        raise NoRoomError(
            f"the profile's actors ask for {cpus:g} CPUs and leave none of the cluster's {num_cpus:g} for writing "
            "shards; lower `actors` or `num_cpus`"
        )


def _check_an_actor_fits(pool: PoolConfig, nodes: Sequence[NodeResources]) -> None:
    """Refuse a pool of which no node can hold an actor, even when nothing else runs there."""
    usable = [node for node in nodes if _may_use(pool, node)]
    wanted = (
        ("GPUs", pool.num_gpus, max(node.num_gpus for node in usable)),
        ("CPUs", pool.num_cpus, max(node.num_cpus for node in usable)),
        ("GB of memory", pool.memory_gb or 0.0, max(node.memory_gb for node in usable)),
    )
    for what, asked, most in wanted:
        if asked > most + TOLERANCE:
            raise NoRoomError(
                f"pool {pool.name!r}: an actor asks for {asked:g} {what} and no node that it may use has more than "
                f"{most:.3g}"
            )


def _check_gpus_fit(placed: Sequence[PlacedPool], nodes: Sequence[NodeResources]) -> None:
    """Refuse pools whose actors the single GPUs cannot hold, such as three of 0.6 on two GPUs."""
    room = _Gpus(nodes)
    for pool in sorted(placed, key=lambda pool: (pool.config.accelerator_type is None, -pool.config.num_gpus)):
        config = pool.config
        if config.num_gpus and not all(room.take(config) for _ in range(pool.actors.min)):
            kind = f" {config.accelerator_type}" if config.accelerator_type else ""
            raise NoRoomError(
                f"pool {pool.name!r}: the cluster's{kind} GPUs cannot hold {pool.actors.min} actors of "
                f"{config.num_gpus:g} GPUs beside the other pools"
            )
