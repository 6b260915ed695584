from __future__ import annotations

import pytest

from infra.config import ConfigError
from infra.jobs.placement import ExecutionConfig, PoolConfig, resolve_pools

STAGES = ("scenes", "faces", "export")


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        ([PoolConfig(name="a", stages=("scenes",))], "in order"),
        ([PoolConfig(name="a", stages=STAGES[:2]), PoolConfig(name="b")], "in order"),
        ([PoolConfig(name="a", stages=STAGES[::-1])], "in order"),
        ([PoolConfig(name="a", num_cpus=1.0)], "ask for 2 CPUs and leave none of the cluster's 2"),
        ([PoolConfig(name="a", actors=1, num_gpus=1.0)], "ask for 1 GPUs and the cluster has 0"),
    ],
)
def test_pools_that_cannot_work_are_refused(pools: list[PoolConfig], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_pools(pools, STAGES, num_cpus=2.0)


def test_a_pool_without_stages_has_all_and_several_divide_them() -> None:
    ((pool, size),) = resolve_pools([PoolConfig(name="a")], STAGES, num_cpus=4.0)
    assert (pool.stages, size) == (STAGES, 4)
    pools = [PoolConfig(name="a", stages=STAGES[:1], actors=1), PoolConfig(name="b", stages=STAGES[1:], actors=2)]
    assert resolve_pools(pools, STAGES, num_cpus=4.0) == [(pools[0], 1), (pools[1], 2)]


@pytest.mark.parametrize(("gpus", "expected"), [(8.0, 16), (0.5, 1)])
def test_actors_are_as_many_as_the_gpus_hold(gpus: float, expected: int) -> None:
    pools = (PoolConfig(name="a", num_gpus=0.5, num_cpus=2.0),)
    assert resolve_pools(pools, STAGES, num_cpus=64, num_gpus=gpus)[0][1] == expected


@pytest.mark.parametrize("limits", [{"max_attempts": 0}, {"unit_timeout_s": 0.0}, {"start_timeout_s": -1.0}])
def test_limits_under_which_nothing_runs_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        ExecutionConfig(**limits)  # type: ignore[arg-type]
