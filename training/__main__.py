"""The command line: `python -m training codebook | plan | run | export | push | negatives`."""

from __future__ import annotations

import os
import sys
from typing import Final

from infra.command_line import Command, CommandLine

DESCRIPTION: Final = """\
Train Soul on encoded shards, stage by stage.

Several processes train together when `torchrun`, `deepspeed` or Slurm's `srun` starts `run`:
  torchrun --nproc-per-node=8 -m -- training run --stage 720p --run RUN --model DIR

Exit status: 0 done, 1 broken off, 2 a mistake in what was asked for, 130 interrupted, 143 stopped by SIGTERM and saved.
torchrun makes 1 of all but 0, and adds a report of its own (ChildFailedError) to the line that says why.
"""

COMMANDS: Final = {
    "codebook": Command(
        about="K-Means centroids of the encoded latents -> RUN/codebook.safetensors",
        options="training.codebook.options",
        run="training.codebook.command",
    ),
    "run": Command(
        about="train a stage; the same command goes on where it was stopped",
        options="training.command",
        run="training.command",
    ),
    "plan": Command(
        about="what a stage holds on each GPU, and whether that fits; needs no GPU",
        options="training.memory.options",
        run="training.memory.command",
    ),
    "export": Command(
        about="a model directory of any checkpoint, also while training goes on",
        options="training.export.options",
        run="training.export.command",
    ),
    "push": Command(
        about="a model directory with its card, to the Hugging Face Hub or into a folder",
        options="training.push.options",
        run="training.push.command",
    ),
    "negatives": Command(
        about="failure cases under a negative prompt, as a further pool of encoded clips",
        options="training.negatives.options",
        run="training.negatives.command",
    ),
}


def _is_further() -> bool:
    """Whether another process talks to people. Launchers number their processes before these have joined."""
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) != "0"


COMMAND_LINE: Final = CommandLine(
    prog="python -m training",
    description=DESCRIPTION,
    commands=COMMANDS,
    interrupted="the same command goes on from what is saved",
    quiet=_is_further,
)
main = COMMAND_LINE.main


if __name__ == "__main__":
    sys.exit(main())
