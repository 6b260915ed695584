"""The command line: what people get for right and wrong words."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.__main__ import main
from tests.worlds.videos import write_video


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    folder = tmp_path / "bucket"
    folder.mkdir()
    write_video(folder / "a.mp4", size=(320, 240), seconds=0.4)
    write_video(folder / "b.mp4", seconds=0.6)
    return folder


def run(bucket: Path, run: Path, *more: str) -> int:
    return main(["run", str(bucket), "--run", str(run), "--engine", "inline", *more])


def test_run_resume_plan_report_show(bucket: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "run"
    assert run(bucket, directory) == 0
    assert "resolution/short_edge" in capsys.readouterr().out
    assert (directory / "report.html").is_file()
    assert run(bucket, directory) == 0
    assert "0 units to do, 2 done" in capsys.readouterr().out
    assert main(["plan", str(bucket), "--run", str(directory)]) == 0
    assert "measured on what this run has committed" in capsys.readouterr().out
    assert main(["report", "--run", str(directory)]) == 0
    (row,) = (directory / "shards").glob("*.parquet")
    assert row.is_file()


def test_other_settings_are_told(bucket: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(bucket, tmp_path / "run")
    capsys.readouterr()
    assert run(bucket, tmp_path / "run", "--set", "stages.faces.min_presence=0.6") == 0
    assert "decided under other settings" in capsys.readouterr().out


def test_a_run_that_cannot_be_written_is_one_line(
    bucket: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").write_text("in the way")
    assert run(bucket, tmp_path / "run") == 1
    errors = capsys.readouterr().err
    assert errors.startswith("soul: ")
    assert str(tmp_path / "run") in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "/nowhere"], "no such file or directory: /nowhere"),
        (["run", "/nowhere", "--profile", "lokal"], "no profile 'lokal'"),
        (["run", "/nowhere", "--set", "stages.sinc.x=1"], "unknown key 'sinc', did you mean 'sync'"),
        (["report", "--run", "/nowhere"], "is not a run directory"),
        (["show", "key", "--run", "/nowhere"], "is not a run directory"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
