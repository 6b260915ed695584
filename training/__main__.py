"""The command line: `python -m training run | codebook | negatives`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from curation.command_line import Run, parse_command

DESCRIPTION: Final = """\
Train Soul on encoded shards, stage by stage.

  run        train a stage; the same command goes on where it was stopped
  codebook   K-Means centroids of the encoded latents -> RUN/codebook.safetensors
  negatives  failure cases under a negative prompt, as a further pool of encoded clips

Several processes train together when `torchrun`, `deepspeed` or Slurm's `srun` starts `run`:
  torchrun --nproc-per-node=8 -m -- training run --stage 720p --run RUN --model DIR
"""

COMMANDS: Final = {
    "run": ("train a stage", "training.command"),
    "codebook": ("build the codebook of a run", "training.codebook.command"),
    "negatives": ("make failure cases of a run's human clips", "training.negatives.command"),
}
"""What each is for, and the module that has its `add_arguments` and `run`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    0 done, 1 the training broke down, 2 a person's mistake, 130 interrupted, 143 stopped by SIGTERM and saved.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    run, options = parse_command("python -m training", DESCRIPTION, COMMANDS, arguments)
    return _guarded(run, options)


def _guarded(run: Run, options: argparse.Namespace) -> int:
    from training.checkpoints import CheckpointError  # noqa: PLC0415
    from training.trainer import DivergedError, StoppedError  # noqa: PLC0415

    status = 0
    try:
        run(options)
    except ValueError as error:
        status = _say(error, 2)
    except (DivergedError, CheckpointError) as error:
        status = _say(error, 1)
    except OSError as error:
        # A full disk, a read-only directory, a store that does not answer: it says which file.
        status = _say(error, 1)
    except StoppedError as error:
        status = _say(error, 143)
    except KeyboardInterrupt:
        status = _say("interrupted; the same command goes on from the last checkpoint", 130)
    return status


def _say(problem: object, status: int) -> int:
    print(f"training: {problem}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
