"""The sample bucket never mixes with a person's own videos."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.__main__ import main
from curation.commands.sample_run import check_not_mixed
from tests.worlds.videos import add_video


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    return add_video(tmp_path / "own", "own.mp4", size=(320, 240), seconds=0.4).parent


def curate(videos: Path, run: Path) -> int:
    return main(["run", str(videos), "--run", str(run), "--engine", "inline"])


def test_own_videos_are_refused_in_the_samples_run(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "sample"
    add_video(run / "bucket", "made.mp4", size=(320, 240), seconds=0.4)
    for command in ("plan", "run"):
        assert main([command, str(videos), "--run", str(run)]) == 2
        assert capsys.readouterr().err == (
            f"soul: {run} holds the clips of the sample bucket: give your own videos another --run (RUN=)\n"
        )
    assert not (run / "shards").exists()
    assert curate(run / "bucket", run) == 0


def test_the_sample_bucket_is_refused_in_ones_own_run(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert curate(videos, run) == 0
    capsys.readouterr()
    assert main(["run", "--run", str(run)]) == 2
    assert capsys.readouterr().err == (
        f"soul: {run} holds other clips than the sample bucket's: give INPUT, or another --run (RUN=)\n"
    )
    assert not (run / "bucket").exists()
    assert curate(videos, run) == 0


def test_the_sample_buckets_videos_are_refused_in_another_run(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "sample"
    made = add_video(run / "bucket", "made.mp4", size=(320, 240), seconds=0.4)
    (run / "shards").mkdir()
    (tmp_path / "link").symlink_to(run / "bucket")
    (tmp_path / "list.jsonl").write_text(f'{{"path": "{videos}/own.mp4"}}\n{{"path": "{made}"}}\n')
    monkeypatch.chdir(tmp_path)
    inputs = ("runs/sample/bucket", str(made), f"file://{made}", "link", "runs/*/bucket/*.mp4", "list.jsonl")
    for location in inputs:
        for command in ("plan", "run"):
            assert main([command, location, "--run", "runs/local"]) == 2
            said = capsys.readouterr().err
            assert said.startswith("soul: ")
            assert "is of the sample bucket, which is never mixed with your own videos: curate it by itself, " in said
            assert said.count("\n") == 1
    assert not (tmp_path / "runs" / "local").exists()
    (tmp_path / "link").unlink()
    assert main(["plan", ".", "--run", "runs/local"]) == 0
    said = capsys.readouterr().out
    assert f"note: what the run in {run} made is no input: left out\n" in said
    assert "1 sources in ." in said


@pytest.mark.parametrize("command", ["plan", "run"])
def test_an_input_of_no_letters_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for blank in ("", " "):
        assert main([command, blank, "--run", "runs/local"]) == 2
        said = capsys.readouterr().err
        assert "INPUT: it is empty: name a directory" in said
        assert said.count("\n") == 1


def test_a_new_run_takes_either_and_a_store_takes_ones_own(tmp_path: Path, videos: Path) -> None:
    check_not_mixed(str(tmp_path / "new"), None)
    check_not_mixed(str(tmp_path / "new"), str(videos))
    check_not_mixed("s3://bucket/run", "s3://bucket/videos")
