"""`run --retry`: a video that could not be read is mended in place, and becomes what a fresh run makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation.__main__ import main
from curation.shards.run_directory import RunDirectory
from tests.worlds.videos import write_video


def decisions(run: str) -> list[dict[str, Any]]:
    columns = ("key", "source_key", "start_s", "end_s", "kept", "reject_stage", "reject_rule", "num_segments")
    return sorted(RunDirectory(run).index(columns).to_pylist(), key=lambda row: str(row["key"]))


def test_a_mended_video_is_what_a_fresh_run_makes_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bucket, run = tmp_path / "bucket", str(tmp_path / "run")
    bucket.mkdir()
    content = write_video(bucket / "good.mp4", size=(320, 240), seconds=0.2).read_bytes()
    (bucket / "broken.mp4").write_bytes(b"no video")
    (bucket / "worse.mp4").write_bytes(b"no video either")

    def curate(*words: str, to: str = run) -> str:
        assert main(["run", str(bucket), "--run", to, "--engine", "inline", *words]) == 0
        return capsys.readouterr().out

    told = curate()
    assert "2 units are in quarantine: probe/unreadable (2); --retry RULE, or --retry all, takes them up" in told
    (bucket / "broken.mp4").write_bytes(content)
    assert "0 units to do, 3 done" in " ".join(curate().split()), "without --retry it stays in quarantine"
    assert main(["plan", str(bucket), "--run", run, "--retry", "probe/missing"]) == 2
    said = capsys.readouterr().err
    assert said == (
        "soul: --retry probe/missing: no unit in quarantine failed under this rule; there are probe/unreadable (2)\n"
    )
    assert main(["plan", str(bucket), "--run", run, "--retry", "all", "--limit", "1"]) == 0
    planned = capsys.readouterr().out
    assert "1 units to do, 1 done" in planned
    assert "1 of 2 units in quarantine that --retry names are done again" in planned
    told = curate("--retry", "probe/unreadable")
    assert "2 of 2 units in quarantine that --retry names are done again\n" in told
    assert "1 unit is in quarantine: probe/unreadable (1)" in told
    assert [path.name[:5] for path in (tmp_path / "run/quarantine").iterdir()] == ["worse"]
    curate(to=str(tmp_path / "fresh"))
    assert decisions(run) == decisions(str(tmp_path / "fresh"))
    (bucket / "worse.mp4").write_bytes(content)
    assert "in quarantine:" not in curate("--retry", "all")
    assert not list((tmp_path / "run/quarantine").iterdir())
    assert "--retry all: nothing is in quarantine" in " ".join(curate("--retry", "all").split())
