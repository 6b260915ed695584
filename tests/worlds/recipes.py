"""A recipe small enough for tests, and trainings of it in this process."""

import json
from pathlib import Path
from typing import Any

from tests.worlds.small_model import small_model
from training.distributed.ranks import join_ranks
from training.recipes.recipe import Recipe, load_recipe
from training.stage import run_stage

SMALL = {
    "batch_size": 4,
    "micro_batch": 2,
    "steps": 4,
    "data.workers": 0,
    "data.held_out_fraction": 0.1,
    "data.pools": "{human: 1, general: 0}",
    "optimizer.lr": 1e-3,
    "optimizer.warmup_steps": 2,
    "optimizer.schedule": "constant",
    "flow_matching.steps": 0,
    "parallel.precision": "float32",
    "parallel.gradient_checkpointing": "none",
    "validation.every": 0,
    "log_every": 1,
    "store_dtype": "float32",
}


def small_overrides(**changes: Any) -> list[str]:
    """Overrides as for --set; `__` in a name stands for a dot. By default, training starts from the small model."""
    changed = {name.replace("__", "."): value for name, value in changes.items()}
    return [f"{name}={value}" for name, value in ({"initial": small_model()} | SMALL | changed).items()]


def small_options(run: Path, **changes: Any) -> list[str]:
    """Arguments of `python -m training` for a small training."""
    return options_of(run, "720p", small_overrides(**changes))


def options_of(run: Path, stage: str, overrides: list[str]) -> list[str]:
    """Arguments of `python -m training` for a stage with these overrides."""
    return ["run", "--stage", stage, "--run", str(run), *(word for each in overrides for word in ("--set", each))]


def small_recipe(**changes: Any) -> Recipe:
    return load_recipe("720p", "local", small_overrides(**changes))


def train(run: Path, **changes: Any) -> Path:
    """Train in this process, alone."""
    return run_stage("720p", small_recipe(**changes), run, join_ranks())


def metrics(run: Path, stage: str = "720p") -> list[dict[str, float]]:
    """What a stage has logged, a line for each step."""
    return [json.loads(line) for line in (run / f"train/{stage}/metrics.jsonl").read_text().splitlines()]


def losses(run: Path, stage: str = "720p") -> list[dict[str, float]]:
    """What distinguishes two trainings: all losses, sizes and gradient norms of every step."""
    return [
        {name: value for name, value in line.items() if "loss" in name or "norm" in name or name == "gradient_size"}
        for line in metrics(run, stage)
    ]
