"""A bucket and a run on object storage, over several pools, decide what a local run in one process decides."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
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
    return tuple(plan_units(list_sources(location), RunDirectory(run).committed(), config.planning).units)


def fill_store(bucket: Path) -> s3fs.S3FileSystem:
    """The bucket's videos under `s3://raw`, and what a killed run has left in `s3://out/run`."""
    store = s3fs.S3FileSystem()
    for name in ("raw", "out"):
        if store.exists(name):
            store.rm(name, recursive=True)
        store.mkdirs(name)
    for path in bucket.iterdir():
        store.put_file(str(path), f"raw/{path.name}")
    store.pipe_file("out/run/shards/soul-orphan.tar", b"left over")
    return store


def in_pools_here(units: Sequence[Source], job: CurationJob) -> None:
    """What the engine does on Ray, in this process: units travel from pool to pool and to the commits."""
    job.open()
    for pool in job.execution.pools:
        worker = job.worker(pool.stages, debug=False)
        units = [pickle.loads(pickle.dumps(worker.run(unit, lambda: None))) for unit in units]
    for first in range(0, len(units), job.units_per_commit):
        job.commit(units[first : first + job.units_per_commit])


def on_ray(units: Sequence[Source], job: CurationJob) -> None:
    engine.run_on_ray(units, job, nothing)


def check_several_pools_and_s3(tmp_path: Path, run_in_pools: Callable[[Sequence[Source], CurationJob], None]) -> None:
    """Curate the same bucket from a store in two pools and from a folder in one process, and compare."""
    bucket = write_bucket(tmp_path / "bucket")
    store, names, run = fill_store(bucket), list(STAGES), "s3://out/run"
    pools = [
        {"name": "first", "stages": names[:3], "actors": 1, "num_cpus": 0.5},
        {"name": "second", "stages": names[3:], "actors": 1, "num_cpus": 0.5},
    ]
    config = config_with(pools=pools)
    run_in_pools(plan("s3://raw", run, config), CurationJob(run=run, config=config))
    local = str(tmp_path / "local")
    engine.run_inline(plan(str(bucket), local, config), CurationJob(run=local, config=config), nothing)
    assert [row[2:] for row in decisions(run)] == [row[2:] for row in decisions(local)]
    assert {(row[3], row[4]) for row in decisions(local)} >= {("resolution", "short_edge"), ("probe", "unreadable")}
    assert not store.exists("out/run/shards/soul-orphan.tar")
    assert len(store.ls("out/run/quarantine")) == 1
    assert not plan("s3://raw", run, config)


def test_several_pools_and_s3_decide_as_one_process(object_store: str, tmp_path: Path) -> None:
    check_several_pools_and_s3(tmp_path, in_pools_here)


@pytest.mark.slow
def test_on_ray_several_pools_and_s3_decide_as_one_process(
    ray_cluster: None, object_store: str, tmp_path: Path
) -> None:
    check_several_pools_and_s3(tmp_path, on_ray)


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
