"""`python -m training run`: one stage, in this process or among those that a launcher started."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from infra.command_line import add_profile, add_run, add_shared_paths, check_run
from infra.config import ConfigError, layered, profile_section
from model.weights.source import model_source
from training.recipes import stages
from training.recipes.option import known_stage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add = parser.add_argument
    add(
        "--stage", required=True, type=known_stage, metavar="STAGE",
        help=f"{', '.join(stages())}: its recipe is training/recipes/STAGE.yaml",
    )  # fmt: skip
    add_run(parser, must_exist=False, profile_option=False)
    add("--model", type=model_source, metavar="DIR", help="model directory or Hub id to start from, not the recipe's")
    add_profile(parser, "optimizer.lr=1e-4")
    add(
        "--ray", type=int, metavar="N",
        help="train in N processes on the Ray cluster that RAY_ADDRESS names (or one started here), a GPU each",
    )  # fmt: skip
    add_shared_paths(parser)
    add("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> None:
    """Train the stage.

    torch and DeepSpeed are imported here, after a line that says what takes so long.

    Raises:
        ConfigError, CommandFailedError, StoppedError: see `run_stage`.
    """
    if not _reads_another_run(options):
        check_run(options.run)
    from infra.storage.files import is_local  # noqa: PLC0415 (fsspec takes its time to import)

    if not is_local(options.run):
        raise ConfigError(
            f"{options.run}: checkpoints need a file system: give a local --run, and --set data.run={options.run} to "
            "train on what is encoded there"
        )
    if options.ray is not None:
        _run_on_ray(options)
        return
    if os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0":
        print("loading  torch and DeepSpeed", flush=True)
    from training.distributed.ranks import join_ranks, leave_ranks  # noqa: PLC0415
    from training.recipes.recipe import load_recipe  # noqa: PLC0415
    from training.stage import run_stage  # noqa: PLC0415

    recipe = load_recipe(options.stage, options.profile, options.overrides)
    ranks = join_ranks()
    try:
        directory = run_stage(options.stage, recipe, Path(options.run), ranks, initial=options.model)
        if ranks.is_main:
            link = Path(options.run) / "model"
            print(f"model  {directory}")
            print(f"{link} leads to {link.readlink()}")
    finally:
        leave_ranks()


def _reads_another_run(options: argparse.Namespace) -> bool:
    """Whether the samples are those of another run (`data.run`), so that RUN need not exist yet."""
    said = layered(options.overrides, profile_section(options.profile, f"training.{options.stage}"))
    data = said.get("data")
    return isinstance(data, dict) and bool(data.get("run"))


def _run_on_ray(options: argparse.Namespace) -> None:
    # Ray takes seconds to import, and most trainings do not use it.
    from infra.jobs.cluster import ray_session, telling_why_it_stopped  # noqa: PLC0415
    from infra.jobs.reach import check_reach  # noqa: PLC0415
    from training.distributed.ray_launch import train_on_ray  # noqa: PLC0415
    from training.recipes.recipe import load_recipe  # noqa: PLC0415

    if options.ray < 1:
        raise ConfigError(f"--ray takes a number of processes, got {options.ray}")
    check_reach({"RUN": options.run}, shared=options.shared_paths)
    load_recipe(options.stage, options.profile, options.overrides)
    arguments = ["--stage", options.stage, "--run", str(Path(options.run).resolve()), "--profile", options.profile]
    arguments += ["--model", options.model] if options.model else []
    arguments += [word for override in options.overrides for word in ("--set", override)]
    name = f"training-{options.stage}"
    with telling_why_it_stopped(), ray_session(name, log_to_driver=True):
        status = train_on_ray(arguments, options.ray, name=name)
    if status:
        raise SystemExit(status)
