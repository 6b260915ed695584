"""A disk that is full, or that may not be written to: one line with the path, and the same command goes on."""

import errno
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from infra.command_line import CommandFailedError
from infra.storage.write_errors import NotWrittenError, reason_of, writing
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import small_options
from tests.worlds.small_disk import fill, resize, small_disk
from training.__main__ import main
from training.distributed.lock import locked
from training.distributed.ranks import join_ranks
from training.initial import initial_directory
from training.monitoring.config import MonitoringConfig
from training.monitoring.log import Logs, open_logs
from training.monitoring.validation import write_clip

FULL = "No space left on device"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, FULL),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 53760 vs 53654\nframe #0"),
        SafetensorError("Error while serializing"),
    ],
)
def test_whatever_a_library_makes_of_it_is_one_line_with_the_path(tmp_path: Path, error: Exception) -> None:
    with (
        pytest.raises(NotWrittenError, match=rf"^{tmp_path / 'file'} could not be written: .+; try again$") as raised,
        writing(tmp_path / "file", then="try again"),
    ):
        raise error
    assert "\n" not in str(raised.value)


def test_torchs_riddle_is_solved_by_a_look_at_the_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        fill(disk)
        assert reason_of(RuntimeError("unexpected pos 5 vs 4"), disk / "a" / "b") == f"{FULL} (unexpected pos 5 vs 4)"
    assert reason_of(RuntimeError("unexpected pos 5 vs 4"), tmp_path) == "unexpected pos 5 vs 4"


def opened(disk: Path, first_step: int) -> Logs:
    return open_logs(disk, first_step, MonitoringConfig(), {}, print, total_steps=9)


def log_until_full(disk: Path) -> None:
    log = opened(disk, 0)
    try:
        for step in range(1, 10_000):
            log.scalars(step, {"loss": step / 3})
    finally:
        log.close()


def show(disk: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (25, 128, 128, 3), np.uint8)
    write_clip(disk / "validation" / "clip.mp4", frames, fps=25, wav=None)


def lock(disk: Path) -> None:
    fill(disk)
    with locked(disk / "train", join_ranks()):
        pass


@pytest.mark.parametrize(
    ("write", "path"),
    [
        (log_until_full, r"tensorboard/events\.out\S+|metrics\.jsonl"),
        (show, r"validation/clip\.mp4"),
        (lambda disk: initial_directory("tiny", disk / "initial", seed=0), "initial"),
        (lock, r"train/\.lock"),
    ],
)
def test_each_writer_names_its_file_and_leaves_no_part_of_it(
    tmp_path: Path, write: Callable[[Path], object], path: str
) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        with pytest.raises((OSError, CommandFailedError)) as raised:
            write(disk)
        line = str(raised.value)
        assert re.search(rf"{disk}/({path})\b", line)
        assert "\n" not in line
        assert FULL in line or "could not be written" in line
        parts = [each for each in disk.rglob("*") if each.is_file() and each.suffix in {".mp4", ".tmp", ".safetensors"}]
        assert not parts


def test_what_was_logged_survives_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        with pytest.raises(OSError, match=FULL):
            log_until_full(disk)
        before = (disk / "metrics.jsonl").read_text().splitlines()
        with pytest.raises(OSError, match=FULL):
            opened(disk, 10)  # lines beyond step 10 are to be dropped, for which there is no room
        assert (disk / "metrics.jsonl").read_text().splitlines() == before
        resize(disk, 1024)
        opened(disk, 10).close()
        assert len((disk / "metrics.jsonl").read_text().splitlines()) == 10


@pytest.mark.parametrize(
    ("mib", "what", "kept"),
    [
        pytest.param(5, "initial", [], marks=pytest.mark.slow),
        pytest.param(60, "checkpoints/step-00000002", [], marks=pytest.mark.slow),
        (150, "checkpoints/step-00000003", ["step-00000002"]),
    ],
)
def test_a_training_on_a_full_disk_goes_on_when_there_is_space(
    tmp_path: Path, mib: int, what: str, kept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    make_encoded_run(tmp_path / "data", shards=((SampleSpec(),) * 6,))
    looks = {"validation.every": 1, "validation.videos": 1, "validation.steps": 1, "validation.loss_samples": 1}
    with small_disk(tmp_path / "disk", mib << 10) as disk:
        options = small_options(
            disk, initial="tiny", **{"data.run": tmp_path / "data", "steps": 3, "checkpoint.every": 2} | looks
        )
        assert main(options) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert re.search(rf": .*{disk}/train/720p/{what} could not be written: .*({FULL}|os error 28)", line)
        assert what in line
        assert "the same command" in line
        folder = disk / "train/720p/checkpoints"
        assert [path.name for path in folder.glob("*")] == kept
        assert not (disk / "train/720p/model").exists()
        resize(disk, 1 << 20)
        assert main(options) == 0
        assert (f"going on from step {len(kept) * 2} of 3" in capsys.readouterr().err) == bool(kept)
        assert (disk / "model").resolve() == disk / "train/720p/model"


def test_a_run_that_may_not_be_written_to_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_encoded_run(tmp_path / "data", shards=((SampleSpec(),) * 6,))
    with small_disk(tmp_path / "disk", 64) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert main(small_options(disk, **{"data.run": tmp_path / "data", "steps": 1})) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith(f"Read-only file system: '{disk}/train'")


@pytest.mark.parametrize("name", ["metrics.jsonl", "skipped.txt"])
def test_what_is_in_the_way_of_a_file_is_named(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    directory = make_encoded_run(tmp_path, shards=((SampleSpec(),) * 6,))
    (tmp_path / "train/720p" / name).mkdir(parents=True)
    for tar in Path(directory.path).rglob("*.tar"):
        tar.write_bytes(bytes(tar.stat().st_size) if name == "skipped.txt" else tar.read_bytes())
    assert main(small_options(tmp_path, steps=1, **{"data.held_out_fraction": 0})) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"{tmp_path}/train/720p/{name}" in line
    assert "Is a directory" in line
