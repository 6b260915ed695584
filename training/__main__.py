"""The command line: `python -m training run | codebook | negatives`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr
from typing import Final

from curation.command_line import CommandFailedError, Run, parse_command
from curation.config import ConfigError

DESCRIPTION: Final = """\
Train Soul on encoded shards, stage by stage.

  run        train a stage; the same command goes on where it was stopped
  codebook   K-Means centroids of the encoded latents -> RUN/codebook.safetensors
  negatives  failure cases under a negative prompt, as a further pool of encoded clips

Several processes train together when `torchrun`, `deepspeed` or Slurm's `srun` starts `run`:
  torchrun --nproc-per-node=8 -m -- training run --stage 720p --run RUN --model DIR

Exit status: 0 done, 1 broken off, 2 a mistake in what was asked for, 130 interrupted, 143 stopped by SIGTERM and saved.
torchrun makes 1 of all but 0, and adds a report of its own (ChildFailedError) to the line that says why.
"""

COMMANDS: Final = {
    "run": ("train a stage", "training.command"),
    "codebook": ("build the codebook of a run", "training.codebook.command"),
    "negatives": ("make failure cases of a run's human clips", "training.negatives.command"),
}
"""What each is for, and the module that has its `add_arguments` and `run`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status, see `DESCRIPTION`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with nullcontext() if _is_first() else redirect_stderr(io.StringIO()):
        run, options = parse_command("python -m training", DESCRIPTION, COMMANDS, arguments)
    return _guarded(run, options)


def _guarded(run: Run, options: argparse.Namespace) -> int:
    from training.trainer import StoppedError  # noqa: PLC0415

    status = 0
    try:
        run(options)
    except ConfigError as error:
        status = _say(error, 2)
    except CommandFailedError as error:
        status = _say(error, 1)
    except OSError as error:
        # A full disk, a read-only directory, a store that does not answer: it says which file. It may have happened to
        # one process alone, and nobody else would tell.
        status = _say(error, 1, always=True)
    except StoppedError as error:
        status = _say(error, 143)
    except KeyboardInterrupt:
        status = _say("interrupted; the same command goes on from the last checkpoint", 130)
    return status


def _say(problem: object, status: int, *, always: bool = False) -> int:
    """Say what all processes of a training have met alike, once."""
    if always or _is_first():
        print(f"training: {problem}", file=sys.stderr)
    return status


def _is_first() -> bool:
    """Whether this is the process that talks to people: launchers number theirs before these have met."""
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


if __name__ == "__main__":
    sys.exit(main())
