"""A bucket and a run on object storage, over several pools on Ray, decide what a local run in one process decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import s3fs

from curation.clip.schema import Source
from curation.job import CurationJob
from curation.pipeline import STAGES, CurationConfig
from curation.planning import plan_units
from curation.shards.run_directory import RunDirectory
from curation.sources import list_sources
from infra.config import build
from infra.jobs import engine
from tests.worlds.decisions import decisions
from tests.worlds.videos import write_video


def config_with(**execution: Any) -> CurationConfig:
    return build(CurationConfig, {"shards": {"sources_per_shard": 2}, "execution": execution}, "test")


def nothing(_: object) -> None:
    """Ignores progress."""


def write_bucket(folder: Path) -> Path:
    folder.mkdir()
    write_video(folder / "scenery.mp4", seconds=1)
    write_video(folder / "small.mp4", size=(320, 240), seconds=0.4)
    write_video(folder / "sound.mp4", seconds=0.6, audio_seconds=0.6)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


def plan(location: str, run: str, config: CurationConfig) -> tuple[Source, ...]:
    return plan_units(list_sources(location), RunDirectory(run).committed(), config.planning).units


def test_on_ray_several_pools_and_s3_decide_as_one_process(
    ray_cluster: None, object_store: str, tmp_path: Path
) -> None:
    bucket = write_bucket(tmp_path / "bucket")
    store = s3fs.S3FileSystem()
    store.mkdirs("raw", exist_ok=True)
    store.mkdirs("out", exist_ok=True)
    for path in bucket.iterdir():
        store.put_file(str(path), f"raw/{path.name}")
    names, run = list(STAGES), "s3://out/run"
    pools = [
        {"name": "first", "stages": names[:3], "actors": 1, "num_cpus": 0.5},
        {"name": "second", "stages": names[3:], "actors": 1, "num_cpus": 0.5},
    ]
    config = config_with(pools=pools)
    store.pipe_file("out/run/shards/soul-orphan.tar", b"left over")
    engine.run_on_ray(plan("s3://raw", run, config), CurationJob(run=run, config=config), nothing)
    local = str(tmp_path / "local")
    engine.run_inline(plan(str(bucket), local, config), CurationJob(run=local, config=config), nothing)
    assert [row[2:] for row in decisions(run)] == [row[2:] for row in decisions(local)]
    assert {(row[3], row[4]) for row in decisions(local)} >= {("resolution", "short_edge"), ("probe", "unreadable")}
    assert not store.exists("out/run/shards/soul-orphan.tar")
    assert len(store.ls("out/run/quarantine")) == 1
    assert not plan("s3://raw", run, config)


def test_a_source_that_no_worker_survived_is_quarantined(tmp_path: Path) -> None:
    folder, run = tmp_path / "bucket", str(tmp_path / "run")
    folder.mkdir()
    write_video(folder / "crash.mp4", size=(320, 240), seconds=0.2)
    job = CurationJob(run=run, config=config_with())
    job.open()
    (source,) = plan(str(folder), run, job.config)
    job.commit([job.give_up(source, "its worker died 2 times")])
    assert [row["reject_rule"] for row in RunDirectory(run).index().to_pylist()] == ["crashed"]
    assert len(list((tmp_path / "run" / "quarantine").iterdir())) == 1
