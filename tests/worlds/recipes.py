"""A recipe small enough for tests, and trainings of it in this process."""

from pathlib import Path
from typing import Any

from training.distributed.ranks import join_ranks
from training.recipes.recipe import Recipe, load_recipe
from training.stage import run_stage

SMALL = {
    "initial": "tiny",
    "batch_size": 4,
    "micro_batch": 2,
    "steps": 4,
    "data.workers": 0,
    "data.held_out_fraction": 0.1,
    "data.pools": "{human: 1, general: 0}",
    "optimizer.lr": 1e-3,
    "optimizer.warmup_steps": 2,
    "optimizer.schedule": "constant",
    "parallel.precision": "float32",
    "parallel.gradient_checkpointing": "false",
    "validation.every": 0,
    "log_every": 1,
    "store_dtype": "float32",
}


def small_overrides(**changes: Any) -> list[str]:
    """As for --set; `__` in a name stands for a dot."""
    changed = {name.replace("__", "."): value for name, value in changes.items()}
    return [f"{name}={value}" for name, value in (SMALL | changed).items()]


def small_recipe(**changes: Any) -> Recipe:
    return load_recipe("720p", "local", small_overrides(**changes))


def train(run: Path, **changes: Any) -> Path:
    """Train in this process, alone."""
    return run_stage("720p", small_recipe(**changes), run, join_ranks())
