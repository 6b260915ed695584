"""Distillations small enough for tests: a teacher of one block, a few steps on made shards."""

from pathlib import Path
from typing import Any

from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import small_overrides
from tests.worlds.small_model import make_small_model
from training.distributed.ranks import join_ranks
from training.recipes.recipe import load_recipe
from training.stage import run_stage

SHARDS = ((SampleSpec(latent_frames=4),) * 7, (SampleSpec(latent_frames=4, latent_width=6),) * 4)
DISTIL = {
    "encoded": "720p",
    "steps": 7,
    "parallel__zero_stage": 2,
    "dmd__critic_updates": 3,
    "dmd__critic__lr": 1e-3,
    "dmd__teacher": "resident",
    "ema__start_step": 0,
}


def make_distillation(run: Path) -> Path:
    """Encoded shards and a teacher's model directory, which is returned."""
    make_encoded_run(run, shards=SHARDS)
    return make_small_model(run / "teacher")


def distil_overrides(run: Path, **changes: Any) -> list[str]:
    return small_overrides(**DISTIL | {"initial": run / "teacher"} | changes)


def distil(run: Path, **changes: Any) -> Path:
    """Distil in this process, alone."""
    return run_stage("distill", load_recipe("distill", "local", distil_overrides(run, **changes)), run, join_ranks())
