"""Killing a run at random moments: after resuming, keys and decisions are those of an undisturbed run."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from curation.__main__ import main
from curation.job import CurationJob
from curation.pipeline import CurationConfig
from curation.planning import plan_units
from curation.shards.run_directory import RunDirectory
from curation.sources import list_sources
from infra.config import load_section
from infra.jobs.engine import run_inline
from tests.worlds.decisions import decisions
from tests.worlds.fresh_process import FreshPython
from tests.worlds.videos import write_video

ROUNDS = 20
VIDEOS = ("exactly_480p.mp4", "frozen.mp4", "random_bytes.mp4", "blurry.mp4", "too_short.mp4", "silent.mp4")


@pytest.fixture(scope="module")
def bucket(short_samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill") / "bucket"
    folder.mkdir()
    for copy in range(3):
        for name in VIDEOS:
            shutil.copy(short_samples / name, folder / f"{copy}-{name}")
    return folder


@pytest.fixture(scope="module")
def undisturbed(bucket: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    run = str(tmp_path_factory.mktemp("undisturbed"))
    config = load_section(CurationConfig, "local", "curation")
    units = plan_units(list_sources(str(bucket)), set(), config.planning).units
    run_inline(units, CurationJob(run=run, config=config), lambda _: None)
    return decisions(run)


def start(bucket: Path, run: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "curation",
        "run",
        str(bucket),
        "--run",
        str(run),
        "--set",
        "shards.sources_per_shard=2",
    ]
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """Process ids below `pid`, with what each calls itself."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            yield int(child), Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
            yield from descendants(int(child))
        except OSError:
            continue


def kill_driver(driver: subprocess.Popen[bytes]) -> bool:
    driver.kill()
    return True


def kill_child(part: str) -> Callable[[subprocess.Popen[bytes]], bool]:
    def kill(driver: subprocess.Popen[bytes]) -> bool:
        for _ in range(600):
            if driver.poll() is not None:
                return False
            victims = [pid for pid, name in descendants(driver.pid) if part in name]
            if victims:
                os.kill(random.choice(victims), signal.SIGKILL)
                return True
            time.sleep(0.05)
        return False

    return kill


VICTIMS = {
    "driver": kill_driver,
    "actor": kill_child("curation/all"),
    "writer": kill_child("curation/commit"),
}


def disturb(bucket: Path, run: Path, victim: str, moment_s: float) -> bool:
    """One run that loses `victim` after `moment_s` of work, then another that ends; whether anything was hit."""
    driver = start(bucket, run)
    while driver.poll() is None and not any("curation/all" in name for _, name in descendants(driver.pid)):
        time.sleep(0.05)
    time.sleep(moment_s)
    hit = driver.poll() is None and VICTIMS[victim](driver)
    driver.wait(timeout=300)
    final = start(bucket, run)
    assert final.wait(timeout=300) == 0
    return hit


def check(run: Path, undisturbed: list[tuple[object, ...]], *, num_quarantined: int) -> None:
    assert decisions(str(run)) == undisturbed
    RunDirectory(str(run)).committed()  # raises when a unit is in two shards
    names = {path.name for path in (run / "shards").iterdir()}
    indices = {name.removesuffix(".parquet") for name in names if name.endswith(".parquet")}
    assert {name.removesuffix(".tar") for name in names if name.endswith(".tar")} <= indices
    assert not any(name.endswith(".tmp") for name in names)
    assert len(list((run / "quarantine").iterdir())) == num_quarantined


STUCK = """
import sys, time
from curation.__main__ import main
from curation.runner import StageRunner
run = StageRunner.run
StageRunner.run = lambda self, source, **more: (
    time.sleep(600) if source.uri.endswith("4.mp4") else run(self, source, **more)
)
main(sys.argv[1:])
"""
"""A run in one process that does not get beyond the fifth source."""


def test_a_killed_run_resumes_to_the_same(tmp_path: Path) -> None:
    folder, undisturbed, killed = (tmp_path / name for name in ("bucket", "undisturbed", "killed"))
    folder.mkdir()
    for number in range(6):
        write_video(folder / f"{number}.mp4", size=(320, 240), seconds=0.2)
    (folder / "1.mp4").write_bytes(b"no video at all")
    words = ["--engine", "inline", "--set", "shards.sources_per_shard=2"]
    assert main(["run", str(folder), "--run", str(undisturbed), *words]) == 0
    driver = FreshPython("-c", STUCK, "run", str(folder), "--run", str(killed), *words)
    while len(list(killed.glob("shards/*.parquet"))) < 2:
        assert driver.poll() is None
        time.sleep(0.01)
    driver.kill()
    assert main(["run", str(folder), "--run", str(killed), *words]) == 0
    check(killed, decisions(str(undisturbed)), num_quarantined=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_kills_at_random_moments(bucket: Path, undisturbed: list[tuple[object, ...]], tmp_path: Path) -> None:
    random.seed(20251215)
    hits = dict.fromkeys(VICTIMS, 0)
    for number in range(ROUNDS):
        victim = sorted(VICTIMS)[number % len(VICTIMS)]
        run = tmp_path / str(number)
        hits[victim] += disturb(bucket, run, victim, random.uniform(0, 12))
        check(run, undisturbed, num_quarantined=3)
        shutil.rmtree(run)
    print(f"killed: {hits}")
    assert min(hits.values()) >= ROUNDS // 6
