"""Where stages run: which of them share an actor, how many actors there are and what each may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from infra.config import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolConfig:
    """A pool of equal actors, each running the same stages in order."""

    name: str
    stages: tuple[str, ...] = ()
    """Names of consecutive stages; empty for all of them."""
    actors: int | None = None
    """Number of actors; None for one a CPU of the cluster or, if an actor reserves GPUs, as many as its GPUs hold."""
    num_cpus: float = 0.8
    """CPUs an actor reserves; below 1 so that the tasks that write shards always find room."""
    num_gpus: float = 0.0
    """GPUs an actor reserves."""
    environment: str | None = None
    """Path of a pip requirements file, for a pool whose packages conflict with those of the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionConfig:
    """How a run is spread over Ray and how it deals with files that kill their worker."""

    pools: tuple[PoolConfig, ...] = (PoolConfig(name="all"),)
    writer_cpus: float = 0.2
    """CPUs of a task that writes a shard."""
    max_attempts: int = 3
    """A unit that killed or hung its worker this many times is given up: recorded as a failure."""
    unit_timeout_s: float = 900.0
    """A worker that works on one unit this long without a sign of life is ended. In encoding, every clip is a sign."""
    start_timeout_s: float = 600.0
    """A run in which no worker has started, or started again, for this long is broken off. This time includes loading
    weights and, on a shared cluster, waiting for machines."""

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could run."""
        if self.max_attempts < 1 or min(self.unit_timeout_s, self.start_timeout_s) <= 0:
            raise ValueError("max_attempts must be at least 1, unit_timeout_s and start_timeout_s above 0")


def resolve_pools(
    pools: Sequence[PoolConfig], stage_names: Sequence[str], *, num_cpus: float, num_gpus: float = 0.0
) -> list[tuple[PoolConfig, int]]:
    """Each pool with its stages spelled out, and its number of actors on a cluster of so many CPUs and GPUs.

    Raises:
        ConfigError: the pools do not run every stage once and in order, or ask for more CPUs or GPUs than there are.
    """
    filled = [pool if pool.stages else replace(pool, stages=tuple(stage_names)) for pool in pools]
    planned = [stage for pool in filled for stage in pool.stages]
    if planned != list(stage_names):
        raise ConfigError(f"pools run the stages {', '.join(planned)}; they must be {', '.join(stage_names)}, in order")
    sizes = [pool.actors if pool.actors is not None else _actors(pool, num_cpus, num_gpus) for pool in filled]
    asked = sum(size * pool.num_gpus for size, pool in zip(sizes, filled, strict=True))
    if asked > num_gpus:
        raise ConfigError(f"the profile's actors ask for {asked:g} GPUs and the cluster has {num_gpus:g}")
    asked = sum(size * pool.num_cpus for size, pool in zip(sizes, filled, strict=True))
    if asked >= num_cpus:
        raise ConfigError(
            f"the profile's actors ask for {asked:g} CPUs and leave none of the cluster's {num_cpus:g} for writing "
            "shards; lower `actors` or `num_cpus`"
        )
    return list(zip(filled, sizes, strict=True))


def _actors(pool: PoolConfig, num_cpus: float, num_gpus: float) -> int:
    fitting = num_gpus / pool.num_gpus if pool.num_gpus else num_cpus
    return max(1, int(fitting))
