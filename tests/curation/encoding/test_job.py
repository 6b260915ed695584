"""Encoding as a job: on Ray and inline, adding what is new, with shards that kill or hang their worker."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import s3fs

from curation.__main__ import main
from curation.encoding.config import EncodeConfig
from curation.encoding.encoded import EncodedDirectory, EncodedSample
from curation.encoding.job import EncodeJob, EncodeWorker, ShardUnit
from infra.config import ConfigError, build
from infra.jobs.engine import run_in_pool, run_inline, run_on_ray
from infra.jobs.job import Alive
from infra.jobs.progress import Progress
from infra.jobs.waiting import UnitsWaitError
from tests.curation.encoding.test_encoded import assert_equal
from tests.worlds.curated_shards import Made, click, curate, flat, source_of, video
from tests.worlds.merged_run import merge_shards

SETTINGS = {"stages": {"720p": {"area": 9216}}, "clip_frames": 33, "min_frames": 17}


def job_on(run: str, **settings: Any) -> EncodeJob:
    return EncodeJob(run=run, stage="720p", model="tiny", config=build(EncodeConfig, {**SETTINGS, **settings}, "test"))


def made(level: int, num_frames: int = 40, *, sound: bool = True) -> Made:
    return Made(
        mp4=video(flat(level), num_frames), num_frames=num_frames,
        wav=click(0.1, num_frames / 25) if sound else None,
    )  # fmt: skip


def fill(run: str) -> None:
    """Three shards: two clips of which one is too short, none kept, and one without sound."""
    curate(
        run,
        source_of("a.mp4", [made(50), made(60, 10)]),
        source_of("b.mp4", [replace(made(70), kept=False)]),
        source_of("c.mp4", [made(80, sound=False)]),
    )


def samples(directory: EncodedDirectory) -> dict[str, EncodedSample]:
    rows = [row for row in directory.index().to_pylist() if row["encoded"]]
    return {
        row["key"]: EncodedSample.from_bytes(directory.read(row["tar"], row["offset"], row["size"])) for row in rows
    }


def nothing(_: object) -> None:
    """Ignores progress."""


def test_every_kept_clip_has_a_row_and_a_second_run_adds_only_what_is_new(tmp_path: Path) -> None:
    run = str(tmp_path)
    fill(run)
    job, reports = job_on(run), list[Progress]()
    job.describe()
    run_inline(job.pending(), job, lambda progress: reports.append(replace(progress)))
    assert (reports[-1].units, reports[-1].clips, reports[-1].kept, reports[-1].in_work) == (3, 3, 2, 0)
    assert dict(reports[-1].rejected) == {"too_short": 1}
    rows = job.directory.index().to_pylist()
    assert sorted(row["encoded"] for row in rows) == [False, True, True]
    assert len(job.directory.names()) == 3
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "encoded").rglob("*.parquet")}
    again = job_on(run)
    assert not again.pending()
    curate(run, source_of("d.mp4", [made(90)]))
    run_inline(again.pending(), again, nothing)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "encoded").rglob("*.parquet")}
    assert len(after) == 4
    assert after.items() > before.items()
    assert len(samples(again.directory)) == 3


def test_what_was_encoded_before_its_shard_was_merged_is_not_encoded_again(tmp_path: Path) -> None:
    run = str(tmp_path)
    fill(run)
    job = job_on(run)
    job.describe()
    run_inline(job.pending(), job, nothing)
    before = samples(job.directory)
    merge_shards(run)
    assert not job.pending()
    curate(run, source_of("d.mp4", [made(90)]))
    merge_shards(run)
    (unit,) = job.pending()
    assert len(unit.done) == 3
    assert job.num_clips([unit]) == 1
    reports: list[Progress] = []
    run_inline([unit], job, lambda progress: reports.append(replace(progress)))
    assert (reports[-1].clips, reports[-1].kept) == (1, 1)
    after = samples(job.directory)
    assert len(after) == len(before) + 1
    for key, sample in before.items():
        assert_equal(sample, after[key])
    keys = [row["key"] for row in job.directory.index(["key"]).to_pylist()]
    assert len(keys) == len(set(keys)) == 4
    assert not job.pending()


def test_a_shard_that_is_merged_while_it_waits_is_left_to_the_next_run(tmp_path: Path) -> None:
    run = str(tmp_path)
    fill(run)
    job = job_on(run)
    job.describe()
    planned = job.pending()
    merge_shards(run)
    with pytest.raises(UnitsWaitError, match="the shard was merged into a larger one"):
        run_inline(planned, job, nothing)
    assert job.directory.names() == []
    run_inline(job.pending(), job, nothing)
    assert len(samples(job.directory)) == 2


def test_other_settings_or_encoders_are_refused(tmp_path: Path) -> None:
    job_on(str(tmp_path)).describe()
    job_on(str(tmp_path), num_references=2).describe()
    for changed, differs in (
        (job_on(str(tmp_path), clip_frames=29), "clip frames 33, now 29"),
        (job_on(str(tmp_path), stages={"720p": {"area": 16384}}), "area 9216, now 16384"),
    ):
        for refuses in (changed.check, changed.describe):
            with pytest.raises(ConfigError, match=f"was encoded otherwise: {differs}"):
                refuses()


@pytest.mark.slow
def test_ray_and_inline_encode_alike(ray_cluster: None, tmp_path: Path) -> None:
    jobs = [job_on(str(tmp_path / name)) for name in ("inline", "ray")]
    for job in jobs:
        fill(job.run)
    jobs[0].describe()
    run_inline(jobs[0].pending(), jobs[0], nothing)
    run_in_pool(jobs[1], jobs[1].describe)
    run_on_ray(jobs[1].pending(), jobs[1], nothing)
    one, two = (samples(job.directory) for job in jobs)
    assert one.keys() == two.keys()
    for key, sample in one.items():
        assert_equal(sample, two[key])
    assert jobs[0].directory.encoding() == jobs[1].directory.encoding()


def test_a_mistake_found_by_a_worker_is_the_persons(tmp_path: Path) -> None:
    job = replace(job_on(str(tmp_path)), model="/nowhere/at/all")
    with pytest.raises(ConfigError, match="no such directory"):
        job.describe()


@pytest.mark.slow
def test_a_mistake_found_by_a_worker_on_ray_is_the_persons(ray_cluster: None, tmp_path: Path) -> None:
    job = replace(job_on(str(tmp_path)), model="/nowhere/at/all")
    with pytest.raises(ConfigError, match="no such directory"):
        run_in_pool(job, job.describe)


def test_a_shard_that_no_worker_survived_is_skipped_and_its_attempts_are_gone(tmp_path: Path) -> None:
    run = str(tmp_path)
    for name in ("crash", "good"):
        curate(run, source_of(f"{name}.mp4", [made(50), made(60)]))
    job = job_on(run)
    job.open()
    worker = job.worker(job.stages, debug=False)
    first, second = (worker.run(unit, lambda: None) for unit in job.pending())
    assert len(list((tmp_path / "encoded").rglob("*.tar"))) == 2
    assert first.rows is not None
    crashed, good = (first, second) if first.rows[0]["source"] == "crash.mp4" else (second, first)
    progress = job.commit([job.give_up(crashed, "its worker died"), good])
    assert (progress.units, progress.clips, progress.kept, dict(progress.rejected)) == (2, 4, 2, {"crashed": 2})
    rows = job.directory.index().to_pylist()
    assert {(row["source"], row["reason"]) for row in rows} == {
        ("crash.mp4", "crashed: its worker died"),
        ("good.mp4", None),
    }
    assert len(rows) == 4
    assert len(list((tmp_path / "encoded").rglob("*.tar"))) == 1
    assert not job.pending()


class Stopped(BaseException):
    """Ends a run as a person does."""


def test_a_run_that_was_stopped_resumes_to_the_same(tmp_path: Path) -> None:
    undisturbed, stopped = (job_on(str(tmp_path / name)) for name in ("undisturbed", "stopped"))
    for job in (undisturbed, stopped):
        curate(job.run, *(source_of(f"{name}.mp4", [made(50), made(90)]) for name in "ab"))
        job.describe()
    run_inline(undisturbed.pending(), undisturbed, nothing)

    def stop(progress: Progress) -> None:
        if (progress.units, progress.in_work) == (1, 1):
            raise Stopped

    with pytest.raises(Stopped):
        run_inline(stopped.pending(), stopped, stop)
    assert len(stopped.directory.names()) == 1
    assert len(stopped.pending()) == 1
    run_inline(stopped.pending(), stopped, nothing)
    one, two = samples(undisturbed.directory), samples(stopped.directory)
    assert len(one) == 4
    assert one.keys() == two.keys()
    for key, sample in one.items():
        assert_equal(sample, two[key])
    assert not list(Path(stopped.directory.path).rglob("*.tmp"))


class FaultyWorker(EncodeWorker):
    """Some shards crash or hang the process in the middle of their work."""

    def run(self, unit: ShardUnit, alive: Alive) -> ShardUnit:
        result = super().run(unit, alive)
        uri = (result.rows or [{}])[0].get("source")
        if uri == "crash.mp4":
            signal.raise_signal(signal.SIGSEGV)
        if uri == "hang.mp4":
            time.sleep(3600)
        return result


class FaultyJob(EncodeJob):
    def worker(self, stages: Sequence[str], *, debug: bool, units_in_flight: int = 1) -> EncodeWorker:
        return FaultyWorker(self)


@pytest.mark.slow
def test_clips_of_a_shard_that_kills_its_worker_are_skipped_and_none_is_lost(ray_cluster: None, tmp_path: Path) -> None:
    run = str(tmp_path)
    for name in ("crash", "good", "hang"):
        curate(run, source_of(f"{name}.mp4", [made(50), made(60)]))
    config = job_on(run, execution={"pools": [{"name": "e"}], "max_attempts": 2, "unit_timeout_s": 3.0}).config
    job = FaultyJob(run=run, stage="720p", model="tiny", config=config)
    run_on_ray(job.pending(), job, nothing)
    rows = job.directory.index().to_pylist()
    assert len(rows) == 6
    reasons = {row["source"]: row["reason"] for row in rows}
    assert reasons["good.mp4"] is None
    assert reasons["crash.mp4"] == reasons["hang.mp4"] == "crashed: its worker in pool 'e' died or hung 2 times"
    # What the attempts had written is gone.
    assert len(list((tmp_path / "encoded").rglob("*.tar"))) == 1


def test_runs_on_s3(object_store: str, tmp_path: Path) -> None:
    store = s3fs.S3FileSystem()
    store.mkdirs("encode", exist_ok=True)
    job, local = job_on("s3://encode/run"), job_on(str(tmp_path))
    for each in (job, local):
        fill(each.run)
        each.describe()
    store.pipe_file("encode/run/encoded/720p/33x96x128/soul-orphan.tar", b"left over")
    for each in (job, local):
        run_inline(each.pending(), each, nothing)
    remote = samples(job.directory)
    for key, sample in samples(local.directory).items():
        assert_equal(sample, remote[key])
    assert not store.exists("encode/run/encoded/720p/33x96x128/soul-orphan.tar")
    assert not job.pending()


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same(tmp_path: Path) -> None:
    runs = [str(tmp_path / name) for name in ("undisturbed", "killed")]
    for run in runs:
        curate(run, *(source_of(f"{name}.mp4", [made(50), made(90)]) for name in "abcdef"))
    local = ["--stage", "720p", "--engine", "inline", "--set", "clip_frames=33", "--set", "min_frames=17"]
    assert main(["encode", "--run", runs[0], *local]) == 0
    command = [sys.executable, "-m", "curation", "encode", "--run", runs[1], *local]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    directory = EncodedDirectory(f"{runs[1]}/encoded/720p")
    while driver.poll() is None and not directory.names():
        time.sleep(0.005)
    driver.kill()
    driver.wait()
    assert 1 <= len(directory.names()) < 6
    assert main(["encode", "--run", runs[1], *local]) == 0
    one, two = (samples(EncodedDirectory(f"{run}/encoded/720p")) for run in runs)
    assert len(one) == 12
    for key, sample in one.items():
        assert_equal(sample, two[key])
    assert not list(Path(directory.path).rglob("*.tmp"))
