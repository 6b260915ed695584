"""`compact`, and a run that merges at its end: what is told, and that the run goes on from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.__main__ import main
from curation.compaction.job import CompactionJob
from curation.compaction.plan import merges_of
from curation.shards.run_directory import RunDirectory, ShardsConfig
from infra.jobs.engine import run_on_ray
from tests.curation.compaction.test_merge import make, seen
from tests.worlds.videos import write_video

SMALL = ("--set", "shards.sources_per_shard=1", "--set", "shards.max_samples=1")


def test_a_run_merges_at_its_end_what_fills_a_shard_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket, run = tmp_path / "bucket", str(tmp_path / "run")
    bucket.mkdir()
    content = write_video(bucket / "0.mp4", size=(320, 240), seconds=0.2).read_bytes()
    for number in range(1, 45):
        (bucket / f"{number}.mp4").write_bytes(content)

    def curate(*words: str) -> str:
        assert main(["run", str(bucket), "--run", run, "--engine", "inline", *SMALL, *words]) == 0
        return capsys.readouterr().out

    told = curate("--set", "shards.merge=false")
    assert "small shards" not in told
    assert len(RunDirectory(run).names()) == 45
    told = curate()
    assert "40 small shards become 2 of 0 MB" in told
    assert f"shards  7 in {run}/shards" in told
    assert RunDirectory(run).index(["key"]).num_rows == 45
    (bucket / "new.mp4").write_bytes(content)
    told = curate()
    assert "1 units to do, 45 done" in " ".join(told.split())
    assert "small shards" not in told


def test_compact_merges_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    assert main(["compact", "--run", run]) == 2
    assert "is not a run directory" in capsys.readouterr().err
    make(run)
    expected = seen(run)
    inline = ("compact", "--run", run, "--engine", "inline")
    assert main([*inline]) == 0
    assert "nothing to merge; --all merges the small ones that do not fill one" in capsys.readouterr().out
    assert main([*inline, "--all"]) == 0
    said = capsys.readouterr().out
    assert "10 small shards become 1 of 0 MB" in said
    assert f"shards  1 in {run}/shards" in said
    assert seen(run) == expected
    assert main([*inline, "--all"]) == 0
    assert capsys.readouterr().out == f"{run}: nothing to merge\n"


def test_merges_run_on_ray(ray_cluster: None, tmp_path: Path) -> None:
    run = str(tmp_path)
    make(run)
    expected = seen(run)
    merges = tuple(merges_of(RunDirectory(run), ShardsConfig(max_samples=3), everything=True))
    job = CompactionJob(run=run, merges=merges)
    run_on_ray(job.units, job, lambda _: None)
    assert set(RunDirectory(run).names()) >= {merge.name for merge in merges}
    assert len(RunDirectory(run).names()) < 6
    assert seen(run) == expected
