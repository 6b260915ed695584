"""Faults of the machine while a bucket is curated: no video is blamed for them, and all is done in the end."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
import s3fs

from curation.__main__ import main
from curation.clip.schema import Source
from curation.shards.run_directory import RunDirectory
from curation.stages.resolution import ResolutionFilter
from tests.worlds.counting_store import Faults, counted
from tests.worlds.decisions import decisions
from tests.worlds.small_disk import fill, resize, small_disk
from tests.worlds.videos import write_video

VIDEOS = ("a.mp4", "b.mp4", "c.mp4")
IMPATIENT = ("--set", "execution.patience_s=0.2")


@pytest.fixture(scope="module")
def bucket(object_store: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """`s3://faultless` with three short videos."""
    store, folder = s3fs.S3FileSystem(), tmp_path_factory.mktemp("faults")
    for name in ("faultless", "faultless-out"):
        store.mkdirs(name, exist_ok=True)
    for name in VIDEOS:
        store.put_file(str(write_video(folder / name, seconds=0.4)), f"faultless/{name}")
    return "s3://faultless"


@pytest.fixture(scope="module")
def undisturbed(bucket: str) -> list[tuple[object, ...]]:
    run = "s3://faultless-out/undisturbed"
    assert main(["run", bucket, "--run", run, "--engine", "inline"]) == 0
    return decisions(run)


@pytest.fixture
def faults(object_store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Faults of a store through which everything goes, but which fails nothing yet."""
    found = Faults(suffix=".mp4")
    with counted(object_store, found) as traffic:
        monkeypatch.setenv("AWS_ENDPOINT_URL", traffic.address)
        impatient = {"config_kwargs": {"read_timeout": 0.5, "retries": {"max_attempts": 0}}}
        monkeypatch.setitem(fsspec.config.conf, "s3", impatient)
        s3fs.S3FileSystem.clear_instance_cache()
        yield found
    s3fs.S3FileSystem.clear_instance_cache()


def curate(bucket: str, run: str, *words: str) -> int:
    return main(["run", bucket, "--run", run, "--engine", "inline", *words])


@pytest.mark.parametrize(("kind", "num"), [("throttle", 12), ("deny", 3)])
def test_a_store_that_recovers_in_time_costs_nothing(
    bucket: str, undisturbed: list[tuple[object, ...]], faults: Faults, kind: str, num: int
) -> None:
    run = f"s3://faultless-out/recovers-{kind}"
    faults.begin(kind, num)
    assert curate(bucket, run) == 0
    assert faults.num_failed == num
    assert decisions(run) == undisturbed


@pytest.mark.parametrize(
    "kind",
    [
        "throttle: the store throttles (SlowDown)",
        "deny: the store denies access (AccessDenied)",
        "hang: the store does not answer",
    ],
)
def test_what_a_store_does_not_give_out_is_left_to_the_next_run(
    bucket: str,
    undisturbed: list[tuple[object, ...]],
    faults: Faults,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    kind, reason = kind.split(": ")
    run = f"s3://faultless-out/persists-{kind}"
    faults.begin(kind)
    assert curate(bucket, run, *IMPATIENT) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"soul: 3 units are not done and not judged: {reason}")
    assert line.endswith("; the same command goes on")
    assert not RunDirectory(run).committed()
    assert not RunDirectory(run).quarantined()
    faults.begin(None)
    assert curate(bucket, run) == 0
    assert decisions(run) == undisturbed


def test_a_store_that_takes_no_shards_holds_up_their_commit_and_nothing_is_lost(
    bucket: str, undisturbed: list[tuple[object, ...]], faults: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    run = "s3://faultless-out/unwritable"
    faults.suffix, faults.methods = ".parquet", ("PUT",)
    faults.begin("throttle")
    assert curate(bucket, run, *IMPATIENT) == 1
    assert "not done and not judged: the store throttles (SlowDown)" in capsys.readouterr().err
    assert not RunDirectory(run).committed()
    faults.begin("throttle", 4)
    assert curate(bucket, run) == 0
    assert decisions(run) == undisturbed


def test_a_scratch_disk_that_is_full_ends_the_run_with_one_line_and_blames_no_video(
    bucket: str, undisturbed: list[tuple[object, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = "s3://faultless-out/full"
    with small_disk(tmp_path / "scratch", 256) as scratch:
        fill(scratch, leave=8192)
        words = ("--set", f"fetching.directory={scratch}")
        assert curate(bucket, run, *words, *IMPATIENT) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith(f"soul: the run stopped: no space left for {scratch}")
        assert line.endswith("; 3 units are not done and not judged; the same command goes on")
        assert not RunDirectory(run).quarantined()
        resize(scratch, 1 << 16)
        assert curate(bucket, run, *words) == 0
    assert decisions(run) == undisturbed


def test_memory_that_runs_out_is_waited_for(
    bucket: str, undisturbed: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, num_tries = "s3://faultless-out/memory", 0
    judge = ResolutionFilter.__call__

    def take_too_much(stage: ResolutionFilter, source: Source) -> Source:
        nonlocal num_tries
        num_tries += 1
        if num_tries < 3:
            np.empty(1 << 60, np.uint8)
        return judge(stage, source)

    monkeypatch.setattr(ResolutionFilter, "__call__", take_too_much)
    assert curate(bucket, run) == 0
    assert num_tries == len(VIDEOS) + 2
    assert decisions(run) == undisturbed


def test_a_disk_that_fails_under_a_stage_is_no_bug_of_the_stage(
    bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = "s3://faultless-out/disk"

    def fail(stage: ResolutionFilter, source: Source) -> Source:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(ResolutionFilter, "__call__", fail)
        assert curate(bucket, run, *IMPATIENT) == 1
    assert "3 units are not done and not judged: the disk failed; " in capsys.readouterr().err
    assert curate(bucket, run) == 0
