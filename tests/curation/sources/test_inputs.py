"""A run remembers what it was made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import s3fs

from curation.__main__ import main
from curation.sources.inputs import other_inputs
from infra.config import ConfigError
from tests.worlds.unprivileged import run_as_nobody
from tests.worlds.videos import write_video


def test_other_inputs_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, first, second = str(tmp_path / "run"), str(tmp_path / "a"), str(tmp_path / "b [1]")
    assert other_inputs(run, first, remember=True) is None
    assert other_inputs(run, first, remember=True) is None
    assert other_inputs(run, f"file://{first}/", remember=True) is None
    assert other_inputs(run, f"{first}/deeper/*.mp4", remember=True) is None
    monkeypatch.chdir(tmp_path)
    assert other_inputs(run, "./a", remember=True) is None
    line = other_inputs(run, second, remember=True)
    assert line is not None
    assert f"was begun with {first}; what is in {second} is added" in line
    assert other_inputs(run, second, remember=True) is None
    assert json.loads((tmp_path / "run" / "inputs.json").read_text()) == {"roots": [first, second]}


def test_planning_writes_nothing(tmp_path: Path) -> None:
    assert other_inputs(str(tmp_path / "run"), "/a", remember=False) is None
    assert not (tmp_path / "run").exists()
    other_inputs(str(tmp_path / "run"), "/a", remember=True)
    assert other_inputs(str(tmp_path / "run"), "/ab", remember=False)
    assert other_inputs(str(tmp_path / "run"), "/ab", remember=False)


def test_a_run_in_a_bucket(object_store: str) -> None:
    s3fs.S3FileSystem().mkdirs("remembering", exist_ok=True)
    assert other_inputs("s3://remembering/run", "s3://raw/x/", remember=True) is None
    assert other_inputs("s3://remembering/run", "s3://raw/x", remember=True) is None
    assert other_inputs("s3://remembering/run", "s3://raw/y", remember=True)


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text("{")
    with pytest.raises(ConfigError, match=r"inputs\.json is damaged"):
        other_inputs(str(tmp_path), "/a", remember=True)


def test_the_command_tells_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_video(tmp_path / name / "x.mp4", size=(320, 240), seconds=0.2)
    command = ["--run", str(tmp_path / "run"), "--engine", "inline"]
    assert main(["run", str(tmp_path / "a"), *command]) == 0
    assert "was begun with" not in capsys.readouterr().out
    assert main(["run", str(tmp_path / "b"), *command]) == 0
    assert f"was begun with {tmp_path}/a; what is in {tmp_path}/b is added" in capsys.readouterr().out


def test_a_run_that_may_not_be_written_is_one_line_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in" / "a.mp4", size=(320, 240), seconds=0.2)
    (tmp_path / "run").mkdir(mode=0o755)
    told = run_as_nobody(tmp_path, f"""
        from curation.__main__ import main
        raise SystemExit(main(["run", {str(tmp_path / "in")!r}, "--run", {str(tmp_path / "run")!r}]))
    """)  # fmt: skip
    assert told.wait() != 0
    assert told.stderr.count("\n") == 1
    assert f"cannot write to {tmp_path}/run: Permission denied" in told.stderr
    assert "Starting Ray" not in told.stdout
    assert not list((tmp_path / "run").iterdir())
