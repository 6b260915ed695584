"""Trainings in this rank, one after the other: `rank_worker '[["stage", "run", ["override", …]], …]'`, a module."""

import json
import sys
from pathlib import Path

import torch

from training.distributed.ranks import join_ranks
from training.recipes.recipe import load_recipe
from training.stage import run_stage


def main() -> None:
    torch.set_num_threads(1)
    for stage, run, overrides in json.loads(sys.argv[1]):
        recipe = load_recipe(stage, "local", overrides)
        run_stage(stage, recipe, Path(run), join_ranks())


if __name__ == "__main__":
    main()
