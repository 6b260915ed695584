"""The pipeline end to end: on Ray and inline, against object storage, with files that kill or hang their worker."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import s3fs

from curation.clip.schema import Source
from curation.job import CurationJob, CurationWorker
from curation.pipeline import STAGES, CurationConfig
from curation.planning import plan_units
from curation.shards.run_directory import RunDirectory
from curation.sources import list_sources
from infra.config import ConfigError, build
from infra.jobs import engine
from infra.jobs.ledger import Progress
from infra.jobs.placement import PoolConfig, resolve_pools
from tests.worlds.decisions import decisions
from tests.worlds.videos import write_video


def config_with(**execution: Any) -> CurationConfig:
    return build(CurationConfig, {"shards": {"sources_per_shard": 2}, "execution": execution}, "test")


def nothing(_: object) -> None:
    """Ignores progress."""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bucket")
    write_video(folder / "scenery.mp4", seconds=1)
    write_video(folder / "small.mp4", size=(320, 240), seconds=0.4)
    write_video(folder / "sound.mp4", seconds=0.6, audio_seconds=0.6)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


def plan(location: str, run: str, config: CurationConfig) -> tuple[Source, ...]:
    return plan_units(list_sources(location), RunDirectory(run).committed(), config.planning).units


def test_ray_and_inline_decide_alike(ray_cluster: None, bucket: Path, tmp_path: Path) -> None:
    config = config_with()
    runs = [str(tmp_path / name) for name in ("inline", "ray")]
    engine.run_inline(plan(str(bucket), runs[0], config), CurationJob(run=runs[0], config=config), nothing)
    engine.run_on_ray(plan(str(bucket), runs[1], config), CurationJob(run=runs[1], config=config), nothing)
    assert decisions(runs[0]) == decisions(runs[1])
    assert {(row[3], row[4]) for row in decisions(runs[0])} >= {("resolution", "short_edge"), ("probe", "unreadable")}
    assert not plan(str(bucket), runs[1], config)


def test_several_pools_give_the_same(ray_cluster: None, bucket: Path, tmp_path: Path) -> None:
    names = list(STAGES)
    pools = [
        {"name": "first", "stages": names[:3], "actors": 1, "num_cpus": 0.5},
        {"name": "second", "stages": names[3:], "actors": 1, "num_cpus": 0.5},
    ]
    runs = [str(tmp_path / name) for name in ("inline", "ray")]
    for run, config, execute in (
        (runs[0], config_with(), engine.run_inline),
        (runs[1], config_with(pools=pools), engine.run_on_ray),
    ):
        execute(plan(str(bucket), run, config), CurationJob(run=run, config=config), nothing)
    assert decisions(runs[0]) == decisions(runs[1])


class FaultyJob(CurationJob):
    """Some files crash or hang the process, as a broken file can a native library."""

    def worker(self, stages: Sequence[str], *, debug: bool) -> CurationWorker:
        worker = super().worker(stages, debug=debug)
        run = worker.runner.run

        def run_or_fault(source: Source) -> Source:
            if Path(source.uri).stem == "crash":
                os.kill(os.getpid(), 11)
            if Path(source.uri).stem == "hang":
                time.sleep(3600)
            return run(source)

        worker.runner.run = run_or_fault  # type: ignore[method-assign]
        return worker


def test_files_that_kill_or_hang_are_quarantined_and_the_run_goes_on(ray_cluster: None, tmp_path: Path) -> None:
    folder, run = tmp_path / "bucket", str(tmp_path / "run")
    folder.mkdir()
    for name in ("crash", "good", "hang", "later"):
        write_video(folder / f"{name}.mp4", size=(320, 240), seconds=0.2)
    config = config_with(max_attempts=2, unit_timeout_s=3.0)
    engine.run_on_ray(plan(str(folder), run, config), FaultyJob(run=run, config=config), nothing)
    rules = {Path(row["source"]).stem: row["reject_rule"] for row in RunDirectory(run).index().to_pylist()}
    assert rules == {"crash": "crashed", "hang": "crashed", "good": "short_edge", "later": "short_edge"}
    assert len(list((tmp_path / "run" / "quarantine").iterdir())) == 2


class HangingJob(CurationJob):
    """Its workers never load what they need."""

    def worker(self, stages: Sequence[str], *, debug: bool) -> CurationWorker:
        time.sleep(3600)
        raise AssertionError


def test_workers_that_do_not_start_end_the_run(ray_cluster: None, bucket: Path, tmp_path: Path) -> None:
    config, run = config_with(start_timeout_s=2.0), str(tmp_path / "run")
    message = "no worker of pool 'all' has started within 2 s; it was loading format, resolution, scenes, "
    with pytest.raises(TimeoutError, match=message):
        engine.run_on_ray(plan(str(bucket), run, config), HangingJob(run=run, config=config), nothing)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_progress_counts_clips_of_sources_that_are_in_work(tmp_path: Path) -> None:
    folder = tmp_path / "bucket"
    folder.mkdir()
    for name in ("one", "two"):
        write_video(folder / f"{name}.mp4", seconds=1)
    config, run, seen = config_with(), str(tmp_path / "run"), list[tuple[int, int, int, int]]()

    def see(totals: Progress) -> None:
        seen.append((totals.units, totals.units_finished, totals.units_in_work, totals.in_work))

    engine.run_inline(plan(str(folder), run, config), CurationJob(run=run, config=config), see)
    # Each is one clip, and they are committed together.
    assert list(dict.fromkeys(seen)) == [
        *[(0, 0, 1, 0), (0, 0, 1, 1), (0, 1, 0, 1)],
        *[(0, 1, 1, 1), (0, 1, 1, 2), (2, 0, 0, 0)],
    ]


def test_buckets_and_runs_on_s3(ray_cluster: None, object_store: str, bucket: Path, tmp_path: Path) -> None:
    store = s3fs.S3FileSystem()
    store.mkdirs("raw", exist_ok=True)
    store.mkdirs("out", exist_ok=True)
    for path in bucket.iterdir():
        store.put_file(str(path), f"raw/{path.name}")
    config, run = config_with(), "s3://out/run"
    store.pipe_file("out/run/shards/soul-orphan.tar", b"left over")
    engine.run_on_ray(plan("s3://raw", run, config), CurationJob(run=run, config=config), nothing)
    local = str(tmp_path / "local")
    engine.run_inline(plan(str(bucket), local, config), CurationJob(run=local, config=config), nothing)
    assert [row[2:] for row in decisions(run)] == [row[2:] for row in decisions(local)]
    assert not store.exists("out/run/shards/soul-orphan.tar")
    assert len(store.ls("out/run/quarantine")) == 1
    assert not plan("s3://raw", run, config)


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        ([PoolConfig(name="a", stages=("resolution",))], "in order"),
        ([PoolConfig(name="a", num_cpus=1.0)], "leave none"),
        ([PoolConfig(name="a", actors=1, num_gpus=1.0)], "ask for 1 GPUs and the cluster has 0"),
    ],
)
def test_pools_that_cannot_work_are_refused(pools: list[PoolConfig], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_pools(pools, tuple(STAGES), num_cpus=2.0)


def test_actors_are_as_many_as_fit() -> None:
    pools = (PoolConfig(name="a", num_gpus=0.5, num_cpus=2.0),)
    assert resolve_pools(pools, ("encode",), num_cpus=64, num_gpus=8)[0][1] == 16
    assert resolve_pools((PoolConfig(name="a"),), ("encode",), num_cpus=4)[0][1] == 4
