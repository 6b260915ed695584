from __future__ import annotations

import pytest

from infra.config import ConfigError, build
from infra.jobs.placement import ActorRange, ExecutionConfig, NodeResources, PoolConfig, resolve_pools

STAGES = ("scenes", "faces", "export")
TWO_CPUS = (NodeResources(num_cpus=2.0),)


def gpu_nodes(*gpus: float, accelerator_type: str | None = None) -> tuple[NodeResources, ...]:
    return tuple(
        NodeResources(num_cpus=64, num_gpus=num, memory_gb=100.0, accelerator_type=accelerator_type) for num in gpus
    )


def sizes(pools: list[PoolConfig], nodes: tuple[NodeResources, ...]) -> list[int]:
    """Actors of the pools, each of which runs a stage."""
    stages = tuple(pool.name for pool in pools)
    return [placed.actors.max for placed in resolve_pools(pools, stages, nodes)]


def pool(name: str, **fields: object) -> PoolConfig:
    return build(PoolConfig, {"name": name, "stages": (name,), "num_cpus": 0.5, **fields}, "pool")


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        ([PoolConfig(name="a", stages=("scenes",))], "in order"),
        ([PoolConfig(name="a", stages=STAGES[:2]), PoolConfig(name="b")], "in order"),
        ([PoolConfig(name="a", stages=STAGES[::-1])], "in order"),
        ([PoolConfig(name="a", stages=STAGES[:2]), PoolConfig(name="a", stages=STAGES[2:])], "two pools have one name"),
        ([PoolConfig(name="a", num_cpus=1.0)], "ask for 2 CPUs and leave none of the cluster's 2"),
        ([PoolConfig(name="a", actors=1, num_gpus=1.0)], "ask for 1 GPUs and the cluster has 0"),
    ],
)
def test_pools_that_cannot_work_are_refused(pools: list[PoolConfig], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_pools(pools, STAGES, TWO_CPUS)


def test_a_pool_without_stages_has_all_and_several_divide_them() -> None:
    four = (NodeResources(num_cpus=4.0),)
    (placed,) = resolve_pools([PoolConfig(name="a")], STAGES, four)
    assert (placed.config.stages, placed.actors) == (STAGES, ActorRange(min=4, max=4))
    pools = [PoolConfig(name="a", stages=STAGES[:1], actors=1), PoolConfig(name="b", stages=STAGES[1:], actors=2)]
    assert [(each.config, each.actors.max) for each in resolve_pools(pools, STAGES, four)] == [
        (pools[0], 1),
        (pools[1], 2),
    ]


@pytest.mark.parametrize(("gpus", "expected"), [(8.0, 16), (0.5, 1)])
def test_actors_are_as_many_as_the_gpus_hold(gpus: float, expected: int) -> None:
    assert sizes([pool("a", num_gpus=0.5)], gpu_nodes(gpus)) == [expected]


@pytest.mark.parametrize(
    ("weights", "fractions", "nodes", "expected"),
    [
        ((1, 1), (1, 1), gpu_nodes(8), [4, 4]),
        ((3, 1), (1, 1), gpu_nodes(8), [6, 2]),
        # Weights divide GPUs and not actors: four actors of a quarter take as much as one of a whole.
        ((1, 1), (0.25, 1), gpu_nodes(4, 4), [16, 4]),
        # What does not divide evenly is used all the same.
        ((1, 1, 1), (1, 1, 1), gpu_nodes(8), [3, 3, 2]),
        # A small weight still has an actor.
        ((100, 1), (1, 0.5), gpu_nodes(2), [1, 2]),
        # An actor of 0.6 leaves 0.4 of its GPU, which the other pool can use and a second one of its own cannot.
        ((1, 1), (0.6, 0.4), gpu_nodes(2), [2, 2]),
        # Three GPUs of one actor are on one node.
        ((1, 1), (3, 1), gpu_nodes(4, 2), [1, 3]),
    ],
)
def test_pools_share_the_gpus_by_weight(
    weights: tuple[float, ...], fractions: tuple[float, ...], nodes: tuple[NodeResources, ...], expected: list[int]
) -> None:
    pools = [
        pool(f"p{number}", weight=weight, num_gpus=fraction)
        for number, (weight, fraction) in enumerate(zip(weights, fractions, strict=True))
    ]
    assert sizes(pools, nodes) == expected


def test_pools_share_what_pools_of_a_given_size_leave() -> None:
    pools = [
        pool("fixed", num_gpus=1, actors=2),
        pool("grows", num_gpus=1, actors={"min": 1, "max": 2}),
        pool("rest", num_gpus=0.5),
        pool("light", num_cpus=0.1),
        pool("heavy", num_cpus=4, weight=3),
    ]
    placed = resolve_pools(pools, tuple(each.name for each in pools), gpu_nodes(8))
    assert [each.actors.max for each in placed[:3]] == [2, 2, 8]
    assert placed[1].actors == ActorRange(min=1, max=2)
    # 64 CPUs less 12 actors of half a one: a quarter for the light pool, one a CPU, the rest for those of four.
    assert [each.actors.max for each in placed[3:]] == [14, 10]


def test_a_pool_that_insists_on_an_accelerator_gets_it() -> None:
    nodes = (*gpu_nodes(2, accelerator_type="L4"), *gpu_nodes(4, accelerator_type="H100"))
    assert sizes([pool("any", num_gpus=1), pool("big", num_gpus=1, accelerator_type="H100")], nodes) == [3, 3]
    both = [pool("any", num_gpus=1, actors=2), pool("big", num_gpus=1, actors=4, accelerator_type="H100")]
    assert sizes(both, nodes) == [2, 4]
    with pytest.raises(ConfigError, match="pool 'a': no node has accelerator_type A100; there are H100, L4"):
        sizes([pool("a", num_gpus=1, accelerator_type="A100")], nodes)
    with pytest.raises(
        ConfigError, match="no node has accelerator_type A100; no node has an accelerator that Ray knows"
    ):
        sizes([pool("a", accelerator_type="A100")], TWO_CPUS)
    with pytest.raises(ConfigError, match="pool 'a': the cluster's L4 GPUs cannot hold 3 actors of 1 GPUs"):
        sizes([pool("a", num_gpus=1, actors=3, accelerator_type="L4")], nodes)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_gpus": 4, "actors": 1}, "an actor asks for 4 GPUs and no node that it may use has more than 2"),
        ({"num_cpus": 100, "actors": 1}, "an actor asks for 100 CPUs and no node that it may use has more than 64"),
        ({"memory_gb": 150, "actors": 1}, "an actor asks for 150 GB of memory and no node that it may use has more"),
        ({"memory_gb": 90, "actors": 3}, "actors ask for 270 GB of memory and the cluster has 200"),
        ({"num_gpus": 0.6, "actors": 5}, "cannot hold 5 actors of 0.6 GPUs"),
        ({"num_gpus": 1, "actors": {"min": 5, "max": 9}}, "ask for 5 GPUs and the cluster has 4"),
    ],
)
def test_what_the_nodes_cannot_hold_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sizes([pool("a", **fields)], gpu_nodes(2, 2))


def test_a_pool_grows_to_more_than_there_is_only_in_name() -> None:
    (placed,) = resolve_pools([pool("a", num_gpus=1, actors={"min": 2, "max": 9})], ("a",), gpu_nodes(4))
    assert placed.actors == ActorRange(min=2, max=9)


def test_units_at_a_time_are_those_of_all_actors() -> None:
    (placed,) = resolve_pools([pool("a", num_cpus=0.1, actors=3, units_in_flight=8)], ("a",), TWO_CPUS)
    assert placed.units_at_a_time == 24


def test_a_node_as_ray_lists_it() -> None:
    listed = {"CPU": 16.0, "GPU": 2.0, "memory": 64e9, "accelerator_type:H100": 1.0, "node:10.0.0.1": 1.0}
    assert NodeResources.from_ray(listed) == NodeResources(
        num_cpus=16.0, num_gpus=2.0, memory_gb=64.0, accelerator_type="H100"
    )
    assert NodeResources.from_ray({"CPU": 2.0, "memory": 1e9}) == NodeResources(num_cpus=2.0, memory_gb=1.0)


@pytest.mark.parametrize("limits", [{"max_attempts": 0}, {"unit_timeout_s": 0.0}, {"start_timeout_s": -1.0}])
def test_limits_under_which_nothing_runs_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        ExecutionConfig(**limits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"actors": 0}, "actors must be at least 1"),
        ({"actors": {"min": 3, "max": 2}}, "pool.actors: min must be at least 1, and max not below it"),
        ({"units_in_flight": 0}, "units_in_flight must be at least 1"),
        ({"weight": 0}, "weight above 0"),
        ({"memory_gb": -1}, "must not be negative"),
        ({"num_gpus": 1.5}, "a fraction of one GPU, or whole ones"),
        ({"environment": "../paddle.txt"}, "environment is the name of one, such as paddle"),
    ],
)
def test_pools_that_make_no_sense_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pool("a", **fields)
