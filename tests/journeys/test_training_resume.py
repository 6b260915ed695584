"""Stopping and going on: by SIGTERM, with a damaged checkpoint, on a full disk, after breaking down."""

import os
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import losses, metrics, small_options, train
from training.__main__ import main
from training.distributed.checkpoint_writer import CheckpointError
from training.trainer import DivergedError, Trainer

SHARDS = ((SampleSpec(),) * 7, (SampleSpec(latent_width=6),) * 4)
FAST = {"batch_size": 2, "checkpoint__every": 3, "checkpoint__keep": 2}


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
def six_steps(encoded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that has come to step 6, with checkpoints of the steps 3 and 6."""
    run = Path(shutil.copytree(encoded, tmp_path_factory.mktemp("six") / "run"))
    train(run, steps=6, **FAST)
    return run


@pytest.fixture(scope="module")
def undisturbed(encoded: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    run = Path(shutil.copytree(encoded, tmp_path_factory.mktemp("undisturbed") / "run"))
    train(run, steps=12, **FAST)
    return losses(run)


@pytest.fixture
def own_sigterm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("own_sigterm")
def test_sigterm_saves_and_says_so(
    run: Path,
    undisturbed: list[dict[str, float]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = Trainer.log

    def log_and_be_told(self: Trainer, averages: Any) -> None:
        log(self, averages)
        if self.state.step == 4:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Trainer, "log", log_and_be_told)
    assert main(small_options(run, steps=12, **FAST)) == 143
    assert capsys.readouterr().err.splitlines()[-1] == "soul: stopped at step 5 of 12; the same command goes on"
    assert metrics(run)[-1]["step"] == 5
    assert checkpoints(run) == ["step-00000003", "step-00000005"]
    assert not (run / "model").exists()
    train(run, steps=12, **FAST)
    assert losses(run) == undisturbed


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "no manifest"])
def test_a_damaged_checkpoint_is_passed_over(
    six_steps: Path,
    tmp_path: Path,
    undisturbed: list[dict[str, float]],
    damage: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = Path(shutil.copytree(six_steps, tmp_path / "run", symlinks=True))
    assert checkpoints(run) == ["step-00000003", "step-00000006"]
    newest = run / "train/720p/checkpoints/step-00000006"
    victim = newest / "transformer/exp_avg_sq-00000.safetensors"
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
    said = capfd.readouterr().err
    assert "step-00000006 is damaged" in said
    assert "going on from step 3 of 8" in said
    assert losses(run) == undisturbed[:8]


def test_a_full_disk_leaves_the_checkpoints_before_it(
    run: Path, undisturbed: list[dict[str, float]], capfd: pytest.CaptureFixture[str]
) -> None:
    train(run, steps=3, **FAST)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"checkpoints/step-00000006 could not be written: .+") as raised:
            train(run, steps=9, **FAST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(raised.value)
    assert checkpoints(run) == ["step-00000003"]
    capfd.readouterr()
    train(run, steps=8, **FAST)
    assert "damaged" not in capfd.readouterr().err
    assert losses(run) == undisturbed[:8]


def test_a_loss_that_is_not_a_number_stops_and_is_not_saved(run: Path) -> None:
    train(run, steps=3, **FAST)
    with pytest.raises(DivergedError, match=r"step \d+: the loss or its gradient is not a number .*step-00000003"):
        train(run, steps=30, **FAST, optimizer__lr=1e30, optimizer__clip=0)
    assert checkpoints(run)[-1] == "step-00000003"
