"""Commands in a real terminal with job control, where a process in the background that touches it is stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import termios
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.shards.run_directory import RunDirectory
from tests.worlds.fresh_process import FreshPython
from tests.worlds.recipes import small_overrides
from tests.worlds.terminal import Terminal
from tests.worlds.videos import write_video

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
        self.names: set[str] = set()
        self.classes: set[str] = set()
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
                self.names.add(actor["name"])
                self.classes.add(actor["class_name"])
            self.jobs = self.jobs or json.loads(get(f"{address}/api/jobs/"))
            for job in self.jobs:
                for dataset in json.loads(get(f"{address}/api/data/datasets/{job['job_id']}"))["datasets"]:
                    self.datasets.add(dataset["dataset"])
        except OSError:
            pass  # it does not listen yet, or no more


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


def check_seen(onlooker: Onlooker) -> None:
    # Nothing was stopped by job control, because nothing of Ray's knows the terminal.
    assert not onlooker.stopped
    assert {"/dev/null"} in onlooker.inputs.values()
    assert not {path for paths in onlooker.inputs.values() for path in paths if path.startswith("/dev/pts")}
    # The dashboard opens by its address, and shows names of ours.
    assert "<html" in onlooker.page
    assert "curation/ledger/0" in onlooker.names, onlooker.names
    assert "MapWorker(MapBatches(curation/all))" in onlooker.classes, onlooker.classes
    assert not [name for name in onlooker.classes if "PoolWorker" in name]
    assert [job["metadata"]["name"] for job in onlooker.jobs] == ["curation"]
    assert [name for name in onlooker.datasets if name.startswith("curation_")], onlooker.datasets


@pytest.mark.slow
def test_curation_runs_to_its_end(bucket: Path, ray_folder: Path, tmp_path: Path) -> None:
    with Terminal(environment={"RAY_TMPDIR": str(ray_folder)}) as terminal:
        onlooker = Onlooker(terminal)
        assert terminal.run(f"{CURATE} {bucket} --run {tmp_path / 'run'}", LOADED_S, onlooker) == 0, terminal.end
        assert not terminal.left_behind()
        text = terminal.text
    check_seen(onlooker)
    assert "report  " in text
    assert ".cc:" not in text, "Ray's own lines are on the terminal"
    assert len(RunDirectory(str(tmp_path / "run")).committed()) == 2


def twenty(bucket: Path, tmp_path: Path) -> Path:
    """A bucket that is not done while a test looks."""
    many = tmp_path / "bucket"
    many.mkdir()
    for number in range(20):
        shutil.copy(bucket / "scenery.mp4", many / f"{number}.mp4")
    return many


def check_interrupted(terminal: Terminal) -> None:
    assert terminal.status(LOADED_S) == 130, terminal.end
    assert not terminal.left_behind()
    assert "interrupted; the same command goes on" in terminal.text
    assert "Traceback" not in terminal.text
    assert ".cc:" not in terminal.text
    assert termios.tcgetattr(terminal.screen) == terminal.modes


@pytest.mark.slow
def test_ctrl_c_stops_a_run_before_its_end(bucket: Path, ray_folder: Path, tmp_path: Path) -> None:
    many = twenty(bucket, tmp_path)
    with Terminal(environment={"RAY_TMPDIR": str(ray_folder)}) as terminal:
        onlooker = Onlooker(terminal)
        terminal.type(f"{CURATE} {many} --run {tmp_path / 'run'} --set shards.sources_per_shard=1")
        assert terminal.shows(r"\d in work; ", LOADED_S, onlooker), terminal.end
        while not onlooker.datasets:
            # Of the first unit in work the dashboard may not know yet; it does before the twentieth.
            assert terminal.shows(r"\d in work; ", LOADED_S, onlooker), terminal.end
        onlooker()
        terminal.press("c")
        time.sleep(0.3)
        terminal.press("c")  # of an impatient person, while the cluster is being shut down
        check_interrupted(terminal)
    check_seen(onlooker)
    assert len(RunDirectory(str(tmp_path / "run")).committed()) < 20, "it did not wait for the work"


def test_ctrl_c_stops_a_run_in_one_process(bucket: Path, tmp_path: Path) -> None:
    many = twenty(bucket, tmp_path)
    command = f"{CURATE} {many} --run {tmp_path / 'run'} --engine inline --set shards.sources_per_shard=1"
    with Terminal() as terminal:
        terminal.type(command)
        assert terminal.shows(r"\d in work; ", LOADED_S), terminal.end
        terminal.press("c")
        check_interrupted(terminal)
    assert len(RunDirectory(str(tmp_path / "run")).committed()) < 20, "it did not wait for the work"


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", ["Starting Ray", "starting the workers", r"[1-9]\d*/20 .*\n.*in work"], ids=["ray", "workers", "later"]
)
def test_ctrl_c_at_any_moment_and_the_same_command_goes_on(bucket: Path, tmp_path: Path, moment: str) -> None:
    many = twenty(bucket, tmp_path)
    command = f"{CURATE} {many} --run {tmp_path / 'run'} --set shards.sources_per_shard=1"
    with Terminal() as terminal:
        terminal.type(command)
        assert terminal.shows(moment, LOADED_S), terminal.end
        time.sleep(1.0)
        terminal.press("c")
        check_interrupted(terminal)
        assert terminal.run(command, LOADED_S) == 0, terminal.end
    assert len(RunDirectory(str(tmp_path / "run")).committed()) == 20


@pytest.mark.slow
def test_sigterm_is_as_good_as_ctrl_c(bucket: Path, tmp_path: Path) -> None:
    many = twenty(bucket, tmp_path)
    with Terminal() as terminal:
        terminal.type(f"{CURATE} {many} --run {tmp_path / 'run'}")
        assert terminal.shows(r"\d in work; ", LOADED_S), terminal.end
        driver = next(process for process in terminal.processes() if "-m curation run" in process.command)
        os.kill(driver.pid, signal.SIGTERM)
        check_interrupted(terminal)


@pytest.mark.slow
def test_a_run_in_the_background_of_the_shell_is_not_stopped(bucket: Path, tmp_path: Path) -> None:
    with Terminal() as terminal:
        assert terminal.run(f"{CURATE} {bucket} --run {tmp_path / 'run'} > {tmp_path / 'log'} 2>&1 &", 60.0) == 0
        assert terminal.run("wait $!", LOADED_S) == 0, (tmp_path / "log").read_text()
    assert len(RunDirectory(str(tmp_path / "run")).committed()) == 2


FAILING = """
import sys, time
if any("default_worker" in word for word in sys.argv):
    {fault}
sys.path.remove({here!r})
del sys.modules["scenedetect"]
import scenedetect
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("time.sleep(3600)", "no worker of pool 'all' has started within 30 s; it was loading format, resolution, sc"),
        ("raise RuntimeError('no FFmpeg')", "the run stopped: RuntimeError: no FFmpeg; the same command goes on"),
    ],
    ids=["hangs", "raises"],
)
def test_a_library_that_fails_in_the_workers_ends_the_run_with_one_line(
    bucket: Path, tmp_path: Path, fault: str, says: str
) -> None:
    (tmp_path / "scenedetect.py").write_text(FAILING.format(here=str(tmp_path), fault=fault))
    with Terminal(environment={"PYTHONPATH": str(tmp_path)}) as terminal:
        command = f"{CURATE} {bucket} --run {tmp_path / 'run'} --set execution.start_timeout_s=30"
        assert terminal.run(command, LOADED_S) == 1, terminal.end
        assert not terminal.left_behind()
        assert terminal.text.count(says) == 1, terminal.end
        assert "Traceback" not in terminal.text


@pytest.mark.parametrize(
    ("setting", "status", "line"),
    [
        ("RAY_gcs_server_port_wait_time_s=0", 1, r"\w+: Ray does not start: .*; its logs are in .*/logs"),
        ("RAY_ADDRESS=127.0.0.1:1", 2, r"\w+: no Ray cluster at RAY_ADDRESS=127.0.0.1:1: \[Errno 111\] .*"),
    ],
)
def test_a_start_of_ray_that_fails_is_one_line(
    bucket: Path, tmp_path: Path, setting: str, status: int, line: str
) -> None:
    words = ("-m", "curation", "run", str(bucket), "--run", str(tmp_path / "run"), "--shared-paths")
    run = FreshPython(*words, environment=dict([setting.split("=")]))
    assert run.wait() == status
    assert re.fullmatch(line + "\n", run.stderr)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_whole_way_in_a_terminal(tmp_path: Path) -> None:
    run, model, clip, out = tmp_path / "run", tmp_path / "run/model", tmp_path / "clip", tmp_path / "bench"
    small = "--steps 1 --size 64x64"
    recipe = " ".join(f"--set '{each}'" for each in small_overrides(steps=2, data__workers=2))
    bench = f"{sys.executable} -m bench"
    commands = [
        f"{CURATE} --run {run}",
        f"{sys.executable} -m curation encode --run {run} --stage 720p",
        f"{sys.executable} -m training run --run {run} --stage 720p {recipe}",
        f"{sys.executable} -m training run --run {run} --stage 720p {recipe} --set steps=3 --ray 1",
        f"{sys.executable} -m curation extract --run {run} --out {clip}",
        f"{sys.executable} -m model generate --model {model} --image {clip}/*.png --audio {clip}/*.wav --prompt talks"
        f" --out {tmp_path / 'video.mp4'} {small}",
        f"{bench} samples --run {run} --out {out / 'samples'} --most 2",
        f"{bench} generate --model {model} --samples {out / 'samples'} --out {out / 'soul'} {small} --ray",
        f"{bench} evaluate --samples {out / 'samples'} --videos soul={out / 'soul'} --out {out} --ray",
    ]
    with Terminal() as terminal:
        for command in commands:
            onlooker = Onlooker(terminal)
            assert terminal.run(command, 1200.0, onlooker) == 0, terminal.end
            assert not onlooker.stopped
            assert not terminal.left_behind()
            assert termios.tcgetattr(terminal.screen) == terminal.modes
        assert ".cc:" not in terminal.text
    assert (tmp_path / "video.mp4").is_file()
    assert (out / "report.html").is_file()
