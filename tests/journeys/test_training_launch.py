"""Launchers take our command line as it is documented: `--run` must not look like an option of their own."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from tests.paths import ROOT
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import small_overrides
from training.__main__ import DESCRIPTION

SHELL = {
    name: value
    for name, value in os.environ.items()
    if name not in {"MODEL", "IMAGE", "AUDIO", "PROMPT", "OUT"} and not name.startswith(("MAKE", "MFLAGS"))
}
"""The environment without what a `make test` around this one put there."""


def made(*variables: str) -> list[str]:
    """Words of the command that `make train` would run."""
    words = ["make", "--dry-run", "--silent", "train", "STAGE=720p", "RUN=runs/x", "INSTALLED=", *variables]
    lines = subprocess.run(words, cwd=ROOT, env=SHELL, check=True, capture_output=True, text=True).stdout.splitlines()
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


def test_torchrun_leaves_time_to_save(tmp_path: Path) -> None:
    # An option would be refused by versions of PyTorch that do not know it.
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$TORCH_ELASTIC_SHUTDOWN_TIMEOUT $*" >> {tmp_path}/told\n')
    python.chmod(0o755)
    words = ["make", "train", "STAGE=720p", "INSTALLED=", f"PY={python}", "GPUS=2"]
    subprocess.run(words, cwd=ROOT, env=SHELL, check=True)
    subprocess.run(words, cwd=ROOT, env={**SHELL, "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "60"}, check=True)
    lines = (tmp_path / "told").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["900", "60"]
    assert all("torch.distributed.run" in line and "shutdown" not in line for line in lines)


def test_one_process_needs_no_launcher() -> None:
    assert made()[2:8] == ["-m", "training", "run", "--stage", "720p", "--run"]


def test_make_passes_sigterm_on(tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ntrap 'touch {ended}; exit' TERM\ntouch {begun}\nwhile :; do sleep 0.01; done\n")
    python.chmod(0o755)
    process = subprocess.Popen(["make", "train", "STAGE=720p", "INSTALLED=", f"PY={python}"], cwd=ROOT, env=SHELL)
    while not begun.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=120)
    assert ended.exists()


@pytest.mark.slow
def test_a_training_under_make_is_saved_at_sigterm(tmp_path: Path) -> None:
    make_encoded_run(tmp_path, shards=((SampleSpec(),) * 7,))
    overrides = small_overrides(steps=100_000, checkpoint__every=10000)
    options = " ".join(f"--set '{override}'" for override in overrides)
    process = subprocess.Popen(
        ["make", "train", "STAGE=720p", f"RUN={tmp_path}", "INSTALLED=", f"PY={sys.executable}", f"ARGS={options}"],
        cwd=ROOT,
        env={**SHELL, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    log, deadline = tmp_path / "train/720p/metrics.jsonl", time.monotonic() + 300
    while not (log.is_file() and log.read_text()):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert "the same command goes on" in errors
    assert list((tmp_path / "train/720p/checkpoints").glob("step-*"))
