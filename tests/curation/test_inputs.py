"""A run remembers what it was made from, and the sample bucket never mixes with a person's own videos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curation.__main__ import main
from curation.config import ConfigError
from curation.inputs import RunInputs
from tests.curation.videos import add_video


@pytest.fixture
def videos(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("one", "two"):
        add_video(tmp_path / name, f"{name}.mp4", size=(320, 240), seconds=0.4)
    return tmp_path / "one", tmp_path / "two"


def curate(videos: Path, run: Path) -> int:
    return main(["run", str(videos), "--run", str(run), "--engine", "inline"])


def test_other_inputs_are_told_and_remembered(
    videos: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, (one, two) = tmp_path / "run", videos
    assert curate(one, run) == 0
    assert "note:" not in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert curate(Path("one"), run) == 0
    assert "note:" not in capsys.readouterr().out
    assert curate(two, run) == 0
    assert f"note: {run} holds clips of {one}; those of {two} join them" in capsys.readouterr().out
    assert json.loads((run / "inputs.json").read_text()) == [str(one), str(two)]
    assert curate(one, run) == 0
    assert "note:" not in capsys.readouterr().out


def test_own_videos_are_refused_in_the_samples_run(
    videos: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "sample"
    add_video(run / "bucket", "made.mp4", size=(320, 240), seconds=0.4)
    for command in ("plan", "run"):
        assert main([command, str(videos[0]), "--run", str(run)]) == 2
        assert capsys.readouterr().err == (
            f"soul: {run} holds the clips of the sample bucket: give your own videos another --run (RUN=)\n"
        )
    assert not (run / "shards").exists()
    assert curate(run / "bucket", run) == 0


def test_the_sample_bucket_is_refused_in_ones_own_run(
    videos: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert curate(videos[0], run) == 0
    capsys.readouterr()
    assert main(["run", "--run", str(run)]) == 2
    assert capsys.readouterr().err == (
        f"soul: {run} holds clips of {videos[0]}: give INPUT, or the sample bucket another --run (RUN=)\n"
    )
    assert not (run / "bucket").exists()
    (run / "inputs.json").unlink()
    with pytest.raises(ConfigError, match="holds clips: give INPUT"):
        RunInputs(str(run)).check(None)


def test_a_damaged_memory_is_one_line(videos: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text("{")
    with pytest.raises(ConfigError, match=r"inputs\.json cannot be read"):
        RunInputs(str(tmp_path)).check(str(videos[0]))


def test_a_run_in_an_object_store_remembers_too(object_store: str, videos: tuple[Path, Path]) -> None:
    import s3fs  # noqa: PLC0415

    s3fs.S3FileSystem(skip_instance_cache=True).mkdir("inputs-of-a-run")
    inputs = RunInputs("s3://inputs-of-a-run/run")
    assert inputs.check(str(videos[0])) is None
    inputs.remember("s3://somewhere/videos")
    assert inputs.known() == ["s3://somewhere/videos"]
    assert inputs.check("s3://somewhere/videos") is None
    assert "join them" in (inputs.check(str(videos[0])) or "")
