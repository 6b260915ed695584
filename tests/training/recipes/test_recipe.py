"""Recipes: the paper's numbers, what is refused, and each rank's part of a batch."""

from pathlib import Path

import pytest
import torch

from infra.config import ConfigError
from tests.worlds.recipes import small_recipe
from training.data.loader import Share
from training.distributed.ranks import Ranks
from training.recipes import stages
from training.recipes.recipe import load_recipe


def test_the_published_recipes_say_what_the_paper_says() -> None:
    assert {"720p", "1080p"} <= set(stages())
    first, second = (load_recipe(stage, "production") for stage in ("720p", "1080p"))
    assert (first.epochs, second.epochs) == (2, 1)
    assert second.initial == "stage:720p"
    for recipe in (first, second):
        assert recipe.optimizer.lr == 2e-5
        assert recipe.batch_size == 64
        assert recipe.conditioning.overlap_probability == 0.5
        assert recipe.conditioning.overlap_latents == 2
        assert recipe.data.pools["general"] == pytest.approx(0.2)
        assert recipe.flow_matching.shift == 5
        # The stage after it starts from its result.
        assert recipe.store_dtype == "float32"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("generation.guidance_scale=5", "generation.guidance_scale 1, not few-step and 5"),
        ("generation.scheduler=unipc", "generation.scheduler few-step and generation.guidance_scale 1, not unipc"),
        ("dmd.critic_updates=0", "critic_updates is at least 1"),
        ("dmd.lowest_sigma=0.99", "the first below the second"),
        ("dmd.critc_updates=5", "critic_updates"),
        ("parallel={zero_stage: 3, compile: blocks}", "compile=blocks does not work with zero_stage=3"),
        (
            "parallel.gradient_checkpointing=true",
            "gradient_checkpointing: Input should be 'none', 'full' or 'attention'",
        ),
    ],
)
def test_recipes_that_do_not_distil_are_refused(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("distill", "local", [change])


def test_a_lora_critic_leaves_no_teacher_to_place() -> None:
    with pytest.raises(ConfigError, match=r"set dmd\.teacher to resident"):
        load_recipe("distill", "local", ["dmd.critic_lora_rank=4", "dmd.teacher=offload"])


def test_the_recipe_holds_the_published_numbers(tmp_path: Path) -> None:
    profile = tmp_path / "unscaled.yaml"
    profile.write_text("training: {}\n")
    recipe = load_recipe("distill", str(profile))
    assert recipe.objective == "dmd"
    assert (recipe.optimizer.lr, recipe.dmd.critic.lr, recipe.dmd.critic_updates) == (2e-6, 4e-7, 5)
    assert recipe.optimizer.betas == recipe.dmd.critic.betas == (0.0, 0.999)
    assert (recipe.ema.decay, recipe.ema.start_step, recipe.optimizer.clip, recipe.dmd.critic.clip) == (
        0.99,
        200 / recipe.dmd.critic_updates,
        10,
        10,
    )
    assert (recipe.generation.num_inference_steps, recipe.validation.steps, recipe.generation.guidance_scale) == (
        4,
        4,
        1,
    )


def test_the_published_recipe_is_the_papers_decoder() -> None:
    recipe = load_recipe("evae", "production")
    assert recipe.decoder.decoder_base_dim == 64
    assert recipe.initial == "stage:distill"
    with pytest.raises(ConfigError, match="did you mean 'decoder_base_dim'"):
        load_recipe("evae", "production", ["decoder.decoder_dim=64"])


def ranks(rank: int, world: int, sequence_parallel: int = 1) -> Ranks:
    return Ranks(
        rank=rank, world=world, device=torch.device("cpu"), sequence_group=None, sequence_parallel=sequence_parallel
    )


def test_a_rank_takes_its_part_of_a_batch() -> None:
    recipe = small_recipe(batch_size=24, micro_batch=2)
    assert recipe.share(ranks(0, 1)) == Share(rank=0, num_ranks=1, micro_batch=2, accumulation=12)
    share = recipe.share(ranks(5, 8, sequence_parallel=2))
    assert share == Share(rank=2, num_ranks=4, micro_batch=2, accumulation=3)
    assert share.batch_size == 24


@pytest.mark.parametrize(("batch_size", "nearest"), [(7, "6 or 12"), (5, "are: 6$"), (13, "12 or 18")])
def test_a_batch_that_the_ranks_cannot_share_names_the_nearest_that_they_can(batch_size: int, nearest: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"batch_size {batch_size} is not a multiple of 3 ranks × micro_batch 2.*{nearest}"
    ):
        small_recipe(batch_size=batch_size, micro_batch=2).share(ranks(0, 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "must be at least 1"),
        ({"micro_batch": 0}, "must be at least 1"),
        ({"log_every": 0}, "must be at least 1"),
        ({"audio_delta_every": 0}, "must be at least 1"),
        ({"steps": 0}, "steps at least 1"),
        ({"epochs": 0}, "epochs must be above 0"),
        ({"data__pools": "{human: -1}"}, "shares of pools must not be negative"),
        ({"data__held_out_fraction": 1}, "held_out_fraction lies in"),
        ({"checkpoint__keep": 0}, "checkpoint.keep must be at least 1"),
        ({"conditioning__drop_text": 0.96}, "sum to at most 1"),
        ({"validation__steps": 0}, "validation.steps at least 1"),
        ({"generation__num_inference_steps": 0}, "num_inference_steps is at least 1"),
    ],
)
def test_what_trains_nothing_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small_recipe(**changes)
