"""`python -m training run`: one stage, in this process or among those that a launcher started."""

from __future__ import annotations

import argparse
from pathlib import Path

from curation.config import ConfigError
from curation.storage import is_local
from training.ranks import join_ranks, leave_ranks
from training.recipe import load_recipe, stages
from training.stage import run_stage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add = parser.add_argument
    add("--stage", required=True, help=f"{', '.join(stages())}: its recipe is training/recipes/STAGE.yaml")
    add("--run", default="runs/local", metavar="RUN", help="run directory (default: %(default)s)")
    add("--model", metavar="DIR", help="model directory or Hub id to start from, in place of the recipe's")
    add("--profile", default="local", help="a name in infra/profiles or a YAML file (default: local)")
    add(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE",
        help="override a field of the recipe, e.g. optimizer.lr=1e-4; may be repeated",
    )  # fmt: skip
    add(
        "--ray", type=int, metavar="N",
        help="train in N processes on the Ray cluster that RAY_ADDRESS names (or one started here), a GPU each",
    )  # fmt: skip
    add("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> None:
    """Train the stage.

    Raises:
        ConfigError, DivergedError, StoppedError, CheckpointError: see `run_stage`.
    """
    if not is_local(options.run):
        raise ConfigError(
            f"{options.run}: checkpoints need a file system: give a local --run, and --set data.run={options.run} to "
            "train on what is encoded there"
        )
    if options.ray is not None:
        _run_on_ray(options)
        return
    recipe = load_recipe(options.stage, options.profile, options.overrides)
    ranks = join_ranks(recipe.parallel.sequence_parallel)
    try:
        directory = run_stage(options.stage, recipe, Path(options.run), ranks, initial=options.model)
        if ranks.is_main:
            link = Path(options.run) / "model"
            print(f"model  {directory}")
            print(f"{link} leads to {link.readlink()}")
    finally:
        leave_ranks()


def _run_on_ray(options: argparse.Namespace) -> None:
    # Ray takes seconds to import, and most trainings do without.
    from curation.cluster import ray_session  # noqa: PLC0415
    from training.ray_launch import train_on_ray  # noqa: PLC0415

    if options.ray < 1:
        raise ConfigError(f"--ray takes a number of processes, got {options.ray}")
    load_recipe(options.stage, options.profile, options.overrides)
    arguments = ["--stage", options.stage, "--run", str(Path(options.run).resolve()), "--profile", options.profile]
    arguments += ["--model", options.model] if options.model else []
    arguments += [word for override in options.overrides for word in ("--set", override)]
    with ray_session(f"training-{options.stage}", log_to_driver=True):
        status = train_on_ray(arguments, options.ray, name=f"training-{options.stage}")
    if status:
        raise SystemExit(status)
