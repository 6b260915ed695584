"""The sample bucket never mixes with a person's own videos."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.__main__ import main
from curation.sample_run import check_not_mixed
from tests.curation.videos import add_video


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


def test_a_new_run_takes_either_and_a_store_takes_ones_own(tmp_path: Path, videos: Path) -> None:
    check_not_mixed(str(tmp_path / "new"), None)
    check_not_mixed(str(tmp_path / "new"), str(videos))
    check_not_mixed("s3://bucket/run", "s3://bucket/videos")
