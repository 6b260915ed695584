"""Commands in a real terminal with job control, where a process in the background that touches it is stopped."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.shards import RunDirectory
from tests.curation.videos import write_video
from tests.journeys.terminal import Terminal

LOADED_S = 300.0
"""What a step that takes seconds may take on a machine with much else to do."""
CURATE = f"{sys.executable} -m curation run"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bucket")
    write_video(folder / "scenery.mp4", seconds=1)
    write_video(folder / "small.mp4", size=(320, 240), seconds=0.4)
    return folder


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Where Ray's own files go: a name that is short enough for its sockets, and what a stray cluster leaves there."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        (Path(folder) / "ray").mkdir()
        # What a plain `ray.init()` joins: the address of a cluster that was started here last.
        (Path(folder) / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
        yield Path(folder)


class Onlooker:
    """Looks at the processes and the dashboard while a command runs."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.stopped: set[str] = set()
        self.inputs: dict[str, set[str]] = {}
        self.actors: dict[str, str] = {}
        self.jobs: list[dict[str, Any]] = []
        self.datasets: set[str] = set()
        self.page = ""

    def __call__(self) -> None:
        for process in self.terminal.processes():
            if process.state == "T":
                self.stopped.add(process.command)
            if process.command.startswith("ray::"):
                self.inputs.setdefault(process.command, set()).add(process.standard_input)
        if found := re.search(r"dashboard  (http://\S+)", self.terminal.text):
            self.ask(found[1])

    def ask(self, address: str) -> None:
        try:
            self.page = self.page or get(address)
            for actor in json.loads(get(f"{address}/api/v0/actors?detail=1"))["data"]["result"]["result"]:
                self.actors[actor["name"]] = actor["class_name"]
            self.jobs = self.jobs or json.loads(get(f"{address}/api/jobs/"))
            for job in self.jobs:
                for dataset in json.loads(get(f"{address}/api/data/datasets/{job['job_id']}"))["datasets"]:
                    self.datasets.add(dataset["dataset"])
        except OSError:
            pass  # it does not listen yet, or no more


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


def test_curation_runs_to_its_end(bucket: Path, ray_folder: Path, tmp_path: Path) -> None:
    with Terminal(environment={"RAY_TMPDIR": str(ray_folder)}) as terminal:
        onlooker = Onlooker(terminal)
        assert terminal.run(f"{CURATE} {bucket} --run {tmp_path / 'run'}", LOADED_S, onlooker) == 0, terminal.text
        assert not terminal.left_behind()
        text = terminal.text
    # Nothing was stopped by job control, because nothing of Ray's knows the terminal.
    assert not onlooker.stopped
    assert {"/dev/null"} in onlooker.inputs.values()
    assert not {path for paths in onlooker.inputs.values() for path in paths if path.startswith("/dev/pts")}
    # The dashboard opens by its address, and shows names of ours.
    assert "<html" in onlooker.page
    assert {"curation/all/0", "curation/all/1", "curation/ledger/0"} <= set(onlooker.actors), onlooker.actors
    assert not [name for name in onlooker.actors.values() if "PoolWorker" in name]
    assert [job["metadata"]["name"] for job in onlooker.jobs] == ["curation"]
    assert [name for name in onlooker.datasets if name.startswith("curation_")], onlooker.datasets
    assert "report  " in text
    assert ".cc:" not in text, "Ray's own lines are on the terminal"
    assert len(RunDirectory(str(tmp_path / "run")).committed()) == 2


def test_ctrl_c_stops_a_run_within_seconds(bucket: Path, tmp_path: Path) -> None:
    many = tmp_path / "bucket"
    many.mkdir()
    for number in range(20):
        shutil.copy(bucket / "scenery.mp4", many / f"{number}.mp4")
    with Terminal() as terminal:
        terminal.type(f"{CURATE} {many} --run {tmp_path / 'run'} --set shards.sources_per_shard=1")
        assert terminal.shows(r"\d in work; ", LOADED_S), terminal.text
        pressed_s = time.monotonic()
        terminal.press("c")
        time.sleep(0.3)
        terminal.press("c")  # of an impatient person, while the cluster is being shut down
        assert terminal.status(60.0) == 130, terminal.text
        taken_s = time.monotonic() - pressed_s
        assert not terminal.left_behind()
        assert "interrupted; the same command goes on" in terminal.text
        assert "Traceback" not in terminal.text
        assert ".cc:" not in terminal.text
        assert taken_s < 30
