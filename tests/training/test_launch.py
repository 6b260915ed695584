"""Launchers take our command line as it is documented: `--run` must not look like an option of their own."""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from training.__main__ import DESCRIPTION

ROOT = Path(__file__).resolve().parents[2]


def made(*variables: str) -> list[str]:
    """Words of the command that `make train` would run."""
    words = ["make", "--dry-run", "--silent", "train", "STAGE=720p", "RUN=runs/x", "INSTALLED=", *variables]
    lines = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return shlex.split(next(line for line in lines if "training run" in line))


def documented() -> list[str]:
    return shlex.split(next(line for line in DESCRIPTION.splitlines() if line.startswith("  torchrun ")))


@pytest.mark.parametrize("source", [lambda: made("GPUS=2"), documented], ids=["make", "help"])
def test_torchrun_passes_our_options_on(source: Callable[[], list[str]]) -> None:
    command = source()
    start = next(number for number, word in enumerate(command) if word in {"torchrun", "torch.distributed.run"})
    options = get_args_parser().parse_args(command[start + 1 :])
    assert options.module
    assert options.training_script == "training"
    assert options.training_script_args[:4] == ["run", "--stage", "720p", "--run"]


def test_one_process_needs_no_launcher() -> None:
    assert made()[1:7] == ["-m", "training", "run", "--stage", "720p", "--run"]
