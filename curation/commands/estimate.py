"""How long a plan would take: what a second of video costs a worker, and how many workers there are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from curation.commands.prepare import Prepared
from curation.pipeline import STAGES
from infra.config import ConfigError
from infra.jobs.placement import ExecutionConfig, NodeResources, PlacedPool, resolve_pools
from infra.jobs.reach import given_address


def tell_cost(prepared: Prepared) -> None:
    """Print the stages, and what the plan would take.

    Raises:
        ConfigError: the profile's pools do not run the stages.
    """
    config, plan = prepared.config, prepared.plan
    measured = prepared.stage_cost
    rate = sum(measured.values()) if measured else config.planning.cost_worker_s_per_video_s
    basis = "measured on what this run has committed" if measured else "the profile's estimate"
    busy_s = plan.duration_s * rate
    lines = [
        f"stages  {', '.join(STAGES)}",
        f"work    about {span(busy_s)} of one worker's time: {rate:.2g} s a second of video, {basis}",
        f"time    {_wall(config.execution, measured, rate, plan.duration_s, len(plan.units))}",
    ]
    for line in lines:
        prepared.console.print(line, soft_wrap=True, highlight=False)


def wall_seconds(
    pools: Sequence[PlacedPool], measured: Mapping[str, float], rate: float, video_s: float, num_units: int
) -> float:
    """How long actors would work on a plan, without what starting takes.

    Pools work at the same time, so the slowest one decides. Before stages have been measured, nothing says how the work
    is shared out, and all actors are taken to be equally busy: the plan takes at least so long.

    Args:
        pools: with their actors, each of which works on so many units at a time.
        measured: worker seconds for a second of video, by stage, while as many units were in work.
        rate: their sum, or an estimate of it.
        video_s: seconds of video.
        num_units: units of work; no more than these can be in work.
    """
    if not measured:
        return video_s * rate / max(1, sum(min(pool.units_at_a_time, num_units) for pool in pools))
    busiest = 0.0
    for pool in pools:
        own = sum(measured.get(stage, 0.0) for stage in pool.config.stages)
        busiest = max(busiest, video_s * own / max(1, min(pool.units_at_a_time, num_units)))
    return busiest


def _wall(
    execution: ExecutionConfig, measured: Mapping[str, float], rate: float, video_s: float, num_units: int
) -> str:
    if given_address() is not None:
        return "as the cluster at RAY_ADDRESS has room for actors: the worker's time over their number"
    num_cpus = len(os.sched_getaffinity(0))
    try:
        pools = resolve_pools(execution.pools, tuple(STAGES), [NodeResources(num_cpus=num_cpus)])
    except ConfigError as error:
        return f"not on this machine: {error}"
    actors = sum(pool.actors.max for pool in pools)
    wall = span(wall_seconds(pools, measured, rate, video_s, num_units))
    return f"about {wall} on the {actors} actors that {num_cpus} CPUs hold, without starting"


def span(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} seconds" if seconds < 100 else f"{seconds:.0f} seconds"
