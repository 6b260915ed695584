"""Stopping and going on: killed at any moment, by SIGTERM, with a damaged checkpoint, on a full disk."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from infra.config import ConfigError
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import small_overrides, train
from training.distributed.checkpoints import CheckpointError, _digest
from training.trainer import DivergedError

SHARDS = ((SampleSpec(),) * 7, (SampleSpec(latent_width=6),) * 4)
FAST = {"batch_size": 2, "checkpoint__every": 3, "checkpoint__keep": 2}


def metrics(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "train/720p/metrics.jsonl").read_text().splitlines()]


def losses(run: Path) -> list[tuple[float, float]]:
    return [(line["loss"], line["grad_norm"]) for line in metrics(run)]


def checkpoints(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "train/720p/checkpoints").iterdir())


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("encoded") / "run"
    make_encoded_run(run, shards=SHARDS)
    return run


@pytest.fixture
def run(encoded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(encoded, tmp_path / "run"))


@pytest.fixture(scope="module")
def undisturbed(encoded: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[float, float]]:
    run = Path(shutil.copytree(encoded, tmp_path_factory.mktemp("undisturbed") / "run"))
    train(run, steps=34, **FAST)
    return losses(run)


def launch(run: Path, steps: int) -> subprocess.Popen[str]:
    options = [part for override in small_overrides(steps=steps, **FAST) for part in ("--set", override)]
    return subprocess.Popen(
        [sys.executable, "-m", "training", "run", "--stage", "720p", "--run", str(run), *options],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(run: Path, step: int, process: subprocess.Popen[str]) -> None:
    log = run / "train/720p/metrics.jsonl"
    deadline = time.monotonic() + 300
    while not (log.is_file() and len(log.read_text().splitlines()) >= step):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_at_a_random_step_it_goes_on_bit_for_bit(run: Path, undisturbed: list[tuple[float, float]]) -> None:
    step = random.Random().randint(4, 13)
    process = launch(run, steps=34)
    wait_for_step(run, step, process)
    process.kill()
    process.wait()
    done = len(metrics(run))
    train(run, steps=34, **FAST)
    assert len(undisturbed) == 34
    assert losses(run) == undisturbed, f"killed after step {done}"
    assert [line["step"] for line in metrics(run)] == list(range(1, 35))
    assert checkpoints(run) == ["step-00000033", "step-00000034"]


def test_sigterm_saves_and_says_so(run: Path, undisturbed: list[tuple[float, float]]) -> None:
    process = launch(run, steps=34)
    wait_for_step(run, 4, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143
    assert "the same command goes on" in errors.splitlines()[-1]
    last = metrics(run)[-1]["step"]
    assert checkpoints(run)[-1] == f"step-{int(last):08d}"
    train(run, steps=12, **FAST)
    assert losses(run) == undisturbed[:12]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "no manifest"])
def test_a_damaged_checkpoint_is_passed_over(
    run: Path, undisturbed: list[tuple[float, float]], damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    train(run, steps=6, **FAST)
    assert checkpoints(run) == ["step-00000003", "step-00000006"]
    newest = run / "train/720p/checkpoints/step-00000006"
    victim = next(newest.rglob("*optim_states.pt"))
    if damage == "truncated":
        os.truncate(victim, victim.stat().st_size // 2)
    elif damage == "flipped":
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
    elif damage == "missing":
        victim.unlink()
    else:
        (newest / "manifest.json").unlink()
    train(run, steps=8, **FAST)
    assert "step-00000006 is damaged" in capfd.readouterr().err
    assert losses(run) == undisturbed[:8]


def test_a_full_disk_leaves_the_checkpoints_before_it(run: Path, undisturbed: list[tuple[float, float]]) -> None:
    train(run, steps=3, **FAST)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"checkpoints/step-00000006 could not be written: .+") as raised:
            train(run, steps=9, **FAST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(raised.value)
    assert checkpoints(run) == ["step-00000003"]
    train(run, steps=8, **FAST)
    assert losses(run) == undisturbed[:8]


def test_a_loss_that_is_not_a_number_stops_and_is_not_saved(run: Path) -> None:
    train(run, steps=3, **FAST)
    with pytest.raises(DivergedError, match=r"step \d+: the loss or its gradient is not a number .*step-00000003"):
        train(run, steps=30, **FAST, optimizer__lr=1e30, optimizer__clip=0)
    assert checkpoints(run)[-1] == "step-00000003"


def rewrite_state(checkpoint: Path, **changes: object) -> None:
    """Change what a checkpoint says of itself; None takes a field out."""
    path, manifest = checkpoint / "state.json", checkpoint / "manifest.json"
    state = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in state.items() if value is not None}))
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"state.json": _digest(path)}))


def test_other_numbers_of_ranks_are_refused_in_one_line(run: Path) -> None:
    train(run, steps=3, **FAST)
    rewrite_state(run / "train/720p/checkpoints/step-00000003", world=4)
    with pytest.raises(ConfigError, match="was written by 4 processes and this training has 1"):
        train(run, steps=4, **FAST)
