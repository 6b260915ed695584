"""A bucket of a store curated by several nodes that are killed, frozen and added meanwhile: as if nothing had been."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import s3fs

from curation.__main__ import main
from curation.shards.run_directory import RunDirectory
from tests.worlds.decisions import decisions
from tests.worlds.machines import Machines, joining, machines

COPIES = 4
VIDEOS = ("exactly_480p.mp4", "frozen.mp4", "random_bytes.mp4", "blurry.mp4", "too_short.mp4", "silent.mp4")


@pytest.fixture(scope="module")
def bucket(object_store: str, short_samples: Path) -> str:
    """`s3://by-nodes`, with good and bad videos."""
    store = s3fs.S3FileSystem()
    for name in ("by-nodes", "by-nodes-out"):
        store.mkdirs(name, exist_ok=True)
    for copy in range(COPIES):
        for name in VIDEOS:
            store.put_file(str(short_samples / name), f"by-nodes/{copy}-{name}")
    return "s3://by-nodes"


@pytest.fixture(scope="module")
def undisturbed(bucket: str) -> list[tuple[object, ...]]:
    run = "s3://by-nodes-out/undisturbed"
    assert main(["run", bucket, "--run", run, "--engine", "inline"]) == 0
    return decisions(run)


def kill_one(cluster: Machines) -> None:
    cluster.kill(cluster.nodes[0])


def add_one_and_kill_another(cluster: Machines) -> None:
    cluster.nodes.append(cluster.add(1))
    cluster.kill(cluster.nodes[0])


def freeze_one(cluster: Machines) -> None:
    cluster.freeze(cluster.nodes[0])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("num_nodes", "disturb"), [(2, kill_one), (2, add_one_and_kill_another), (2, freeze_one), (3, freeze_one)]
)
def test_nodes_that_leave_stand_still_and_come_change_no_result(
    bucket: str,
    undisturbed: list[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
    num_nodes: int,
    disturb: Callable[[Machines], None],
) -> None:
    run = f"s3://by-nodes-out/{disturb.__name__}-{num_nodes}"
    with monkeypatch.context() as patch:
        # The nodes know nothing of the store: the driver's settings must reach them.
        for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            patch.delenv(name)
        context = machines(*[1] * num_nodes)
        cluster = context.__enter__()
    try:
        words = ["-m", "curation", "run", bucket, "--run", run, "--set", "shards.sources_per_shard=2"]
        driver = subprocess.Popen(
            [sys.executable, *words], env=joining(cluster.address), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        while driver.poll() is None and not RunDirectory(run).names():
            time.sleep(0.1)
        assert driver.poll() is None, driver.communicate()[0].decode()
        disturb(cluster)
        told = driver.communicate(timeout=900)[0].decode()
        assert driver.returncode == 0, told
        cluster.thaw()
        time.sleep(2.0)
    finally:
        context.__exit__(None, None, None)
    assert decisions(run) == undisturbed
    assert len(RunDirectory(run).committed()) == len(VIDEOS) * COPIES
