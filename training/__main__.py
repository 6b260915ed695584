"""The command line: `python -m training run`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

DESCRIPTION = """\
Train Soul on encoded shards, stage by stage.

  run        train a stage; the same command goes on where it was stopped

Several processes train together when `torchrun`, `deepspeed` or Slurm's `srun` starts this command:
  torchrun --nproc-per-node=8 -m training run --stage 720p --run RUN --model DIR
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    0 done, 1 the training broke down, 2 a person's mistake, 130 interrupted, 143 stopped by SIGTERM and saved.
    """
    options = _parser().parse_args(arguments)
    # Imported late: torch takes seconds, and --help should not wait for it.
    from curation.config import ConfigError  # noqa: PLC0415
    from training.checkpoints import CheckpointError  # noqa: PLC0415
    from training.trainer import DivergedError, StoppedError  # noqa: PLC0415

    try:
        command: Callable[[argparse.Namespace], None] = options.command
        command(options)
    except ConfigError as error:
        print(f"training: {error}", file=sys.stderr)
        return 2
    except (DivergedError, CheckpointError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    except StoppedError as error:
        print(f"training: {error}", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("training: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="train a stage")
    add = run.add_argument
    add("--stage", required=True, help="720p, 1080p or distill: its recipe is training/recipes/STAGE.yaml")
    add("--run", type=Path, default=Path("runs/local"), help="run directory (default: %(default)s)")
    add("--model", help="model directory or Hub id to start from, in place of the recipe's")
    add("--profile", default="local", help="a name in infra/profiles or a YAML file (default: local)")
    add(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE",
        help="override a field of the recipe, e.g. optimizer.lr=1e-4; may be repeated",
    )  # fmt: skip
    add("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    run.set_defaults(command=_run)
    return parser


def _run(options: argparse.Namespace) -> None:
    from training.ranks import join_ranks, leave_ranks  # noqa: PLC0415
    from training.recipe import load_recipe  # noqa: PLC0415
    from training.stage import run_stage  # noqa: PLC0415

    recipe = load_recipe(options.stage, options.profile, options.overrides)
    ranks = join_ranks(recipe.parallel.sequence_parallel)
    try:
        directory = run_stage(options.stage, recipe, options.run, ranks, initial=options.model)
        if ranks.is_main:
            print(f"model  {directory}")
    finally:
        leave_ranks()


if __name__ == "__main__":
    sys.exit(main())
