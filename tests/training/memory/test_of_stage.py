"""Whole plans: the published stages on the cards that they are meant for."""

from typing import Any

import pytest

from curation.encoding.bucket import Bucket
from model.pretrained.presets import PRESETS
from training.memory.of_stage import plan_of
from training.memory.plan import Cluster, Plan
from training.recipes.recipe import load_recipe

SIZES = {"720p": Bucket(109, 704, 1280), "1080p": Bucket(109, 1088, 1920), "distill": Bucket(109, 1088, 1920)}


def plan(stage: str, world: int, zero_stage: int, sequence_parallel: int = 1, *overrides: str) -> Plan:
    recipe = load_recipe(stage, "production", overrides)
    cluster = Cluster(world=world, zero_stage=zero_stage, sequence_parallel=sequence_parallel)
    return plan_of(recipe, PRESETS["soul-5b"].transformer, SIZES[stage], cluster)


@pytest.mark.parametrize(
    ("layout", "between"),
    [
        (("720p", 8, 2, 1), (56, 61)),
        (("1080p", 8, 2, 1), (76, 80)),
        (("1080p", 8, 2, 2), (60, 65)),
        (("1080p", 64, 2, 1), (61, 65)),
        (("distill", 8, 3, 1), (78, 84)),
    ],
)
def test_the_peaks_are_those_counted_by_hand(layout: tuple[str, int, int, int], between: tuple[int, int]) -> None:
    """With blocks computed again from their inputs alone."""
    lowest, highest = between
    assert lowest <= plan(*layout, "parallel.gradient_checkpointing=full").peak / 1e9 <= highest


def test_the_parts_of_the_first_stage() -> None:
    parts = plan("720p", 8, 2).parts
    expected = {
        "weights": 24.6,
        "optimizer states": 9.2,
        "average": 3.1,
        "gradients": 6.2,
        "buckets": 2.4,
        "kept of all blocks": 9.1,
        "one block computed again": 8.1,
        "autocast's copies": 0.4,
    }
    assert {name: round(parts[name]["backward"] / 1e9, 1) for name in expected} == expected
    assert round(parts["decoding a video"]["decoding"] / 1e9, 1) == 9.8
    assert "one block computed again" not in plan("720p", 8, 2, 1, "parallel.gradient_checkpointing=none").parts


@pytest.mark.parametrize(
    ("override", "part", "factor"),
    [
        ("parallel.precision=float32", "kept of all blocks", 2.0),
        # Inputs of blocks twice as large, and outputs of attention as they were.
        ("parallel.residual_in_fp32=true", "kept of all blocks", 1.5),
        ("micro_batch=2", "one block computed again", 2.0),
        ("parallel.reduce_bucket=100000000", "buckets", 0.5),
        ("ema.device=cpu", "average", 0.0),
        ("parallel.offload_optimizer=true", "optimizer states", 0.0),
        ("batch_size=8", "gradients", 0.5),
    ],
)
def test_the_recipe_decides(override: str, part: str, factor: float) -> None:
    before, after = plan("720p", 8, 2).parts, plan("720p", 8, 2, 1, override).parts
    assert after.get(part, {}).get("backward", 0.0) == pytest.approx(factor * before[part]["backward"], rel=0.01)


@pytest.mark.parametrize(
    ("placement", "phases", "size"),
    [
        ("resident", {"scoring", "backward", "step", "validation", "decoding"}, 12.3),
        ("offload", {"scoring", "validation"}, 12.3),
        ("zero3", {"scoring", "backward", "step", "validation", "decoding"}, 3.1),
    ],
)
def test_the_teacher_lies_where_the_recipe_says(placement: str, phases: set[Any], size: float) -> None:
    part = plan("distill", 8, 3, 2, f"dmd.teacher={placement}").parts["teacher's weights"]
    assert set(part) == phases
    assert {round(each / 1e9, 1) for each in part.values()} == {size}


def test_a_lora_critic_has_hardly_any_states_and_no_teacher_beside_it() -> None:
    parts = plan("distill", 8, 3, 2, "dmd.critic_lora_rank=16", "dmd.teacher=resident").parts
    assert "teacher's weights" not in parts
    assert parts["critic's optimizer states"]["backward"] < 0.02 * parts["optimizer states"]["backward"]


def test_without_a_validation_nothing_is_decoded() -> None:
    assert list(plan("720p", 8, 2, 1, "validation.every=0").phases) == ["backward", "step"]
