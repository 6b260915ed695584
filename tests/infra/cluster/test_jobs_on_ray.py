"""The job of the local overlay on a real Ray cluster: begun, submitted and left as KubeRay does it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from curation.shards.run_directory import RunDirectory
from infra.servers.process import free_port
from tests.infra.cluster.rendered import pods, rendered
from tests.paths import ROOT

PATIENCE_S: Final = 600.0
RAY: Final = [sys.executable, "-m", "ray.scripts.scripts"]
ON_LOOPBACK: Final = """
from types import SimpleNamespace
from ray.scripts import scripts
scripts.ray_constants = SimpleNamespace(**{**vars(scripts.ray_constants), "ENABLE_RAY_CLUSTER": True})
scripts.main()
"""
"""`ray`, which lets nodes that listen on loopback alone, as those of our other tests, be more than one."""


class Cluster:
    """A head and workers: each a `ray start --block`, as in a pod of the local overlay."""

    def __init__(self, folder: Path, overlay: str) -> None:
        """Start the head.

        Args:
            folder: stands for what pods mount.
            overlay: whose job it is.
        """
        (self.job,) = rendered(overlay)
        self.folder = folder
        self.containers = {pod.where.rpartition(", ")[2]: pod.containers[0] for pod in pods(self.job)}
        self.port, self.dashboard_port = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.dashboard = f"http://127.0.0.1:{self.dashboard_port}"
        # Sockets of Ray must have short paths.
        self.short = Path(tempfile.mkdtemp(prefix="soul-", dir="/tmp"))
        self.processes: list[subprocess.Popen[bytes]] = []
        for name in ("scratch", "runs", "profile"):
            (folder / name).mkdir(parents=True)
        parameters = self.job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]
        given = {**parameters, "dashboard-host": "127.0.0.1", "dashboard-port": str(self.dashboard_port)}
        words = [word for name, value in given.items() for word in (f"--{name}", value)]
        self._start("head", ["--head", "--port", str(self.port), "--temp-dir", str(self.short), *words])
        wait_until(lambda: self.ray("job", "list").returncode == 0)

    def environment(self, part: str) -> dict[str, str]:
        """That of a pod's container; places are those of `folder`."""
        own = {each["name"]: each["value"] for each in self.containers[part]["env"] if "value" in each}
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SOUL_"))},
            **own,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TMPDIR": str(self.folder / "scratch"),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
            "RAY_ADDRESS": self.address,
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        }

    def add(self) -> tuple[subprocess.Popen[bytes], str]:
        """A worker of one CPU; returns its process and its node's ID."""
        before = self.nodes()
        process = self._start("cpu", ["--address", self.address, "--num-cpus", "1"])
        wait_until(lambda: len(self.nodes()) > len(before), unless=lambda: process.poll() is not None)
        (node,) = self.nodes() - before
        return process, node

    def nodes(self) -> set[str]:
        """The IDs of those that are alive."""
        listed = self.ray("list", "nodes", "--format", "json", "--filter", "state=ALIVE")
        assert listed.returncode == 0, listed.stderr
        if "No resource in the cluster" in listed.stdout:
            return set()
        return {node["node_id"] for node in json.loads(listed.stdout)}

    def ray(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One of Ray's commands, as the submitter's pod runs it."""
        environment = {**self.environment("head"), "RAY_ADDRESS": self.dashboard}
        return subprocess.run(
            [*RAY, *words], env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
        )

    def submit(self, name: str) -> None:
        """Submit the job's very entrypoint; only its places are those of `folder`."""
        entrypoint = self.job["spec"]["entrypoint"]
        places = {"/runs/": f"{self.folder}/runs/", "/etc/soul/": f"{self.folder}/profile/"}
        for pod, here in places.items():
            assert pod in entrypoint
            entrypoint = entrypoint.replace(pod, here)
        words = ["job", "submit", "--submission-id", name, "--no-wait", "--", *entrypoint.split()]
        submitted = self.ray(*words)
        while "No available agent" in submitted.stderr:  # the head has just started
            time.sleep(0.5)
            submitted = self.ray(*words)
        assert submitted.returncode == 0, submitted.stderr

    def status(self, name: str) -> str:
        """Of a job."""
        told = self.ray("job", "status", name).stdout.lower()
        return next(
            word for word in ("succeeded", "failed", "stopped", "running", "pending") if word in told.split(name)[-1]
        )

    def is_over(self, name: str) -> bool:
        """Whether a job has ended in some way."""
        return self.status(name) not in {"running", "pending"}

    def logs(self, name: str) -> str:
        """What a job's driver has printed."""
        return self.ray("job", "logs", name).stdout

    def before_stop(self, part: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Run a pod's preStop."""
        python, *words = self.containers[part]["lifecycle"]["preStop"]["exec"]["command"]
        assert python == "python"
        return subprocess.run(
            [sys.executable, *words, *more],
            env=self.environment(part), cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def end(self) -> None:
        """End all nodes, workers first."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            finally:
                process.kill()
        shutil.rmtree(self.short)

    def _start(self, part: str, words: list[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", ON_LOOPBACK, "start", "--node-ip-address", "127.0.0.1", *words, "--block"]
        with (self.folder / f"{part}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(command, env=self.environment(part), cwd=ROOT, stdout=log, stderr=log)
        self.processes.append(process)
        return process


def wait_until(is_so: Callable[[], bool], *, unless: Callable[[], bool] = lambda: False) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end_s, "it has not come"
        assert not unless(), "it can no longer come"
        time.sleep(0.5)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    started = Cluster(tmp_path / "pods", "overlays/local/curate")
    documents = rendered("overlays/local/platform")
    (profile,) = (each["data"]["profile.yaml"] for each in documents if each["kind"] == "ConfigMap")
    (started.folder / "profile" / "profile.yaml").write_text(profile)
    try:
        yield started
    finally:
        started.end()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl, which renders the descriptions")
@pytest.mark.timeout(3000)
def test_the_head_and_a_worker_leave_a_curation_in_order_and_nothing_is_lost(cluster: Cluster) -> None:
    run = cluster.folder / "runs" / "sample"

    def committed() -> int:
        return len(RunDirectory(str(run)).committed()) if (run / "shards").is_dir() else 0

    def events() -> list[dict[str, Any]]:
        lines = [line for path in run.rglob("*.jsonl") for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines if '"event"' in line]

    _, staying = cluster.add()
    leaving_process, leaving = cluster.add()
    cluster.submit("first")
    wait_until(lambda: committed() > 0, unless=lambda: cluster.is_over("first"))
    # The head goes: the driver is told, and what is in work is committed.
    left = cluster.before_stop("head", "--dashboard", cluster.dashboard)
    assert (left.returncode, left.stderr) == (0, "")
    assert "ended by SIGTERM: what was in work is committed" in cluster.logs("first")
    assert cluster.status("first") == "failed", "KubeRay begins only a job again that has failed"
    done = committed()
    # KubeRay begins the job again. A spot machine is taken away meanwhile.
    cluster.submit("second")
    wait_until(lambda: committed() > done, unless=lambda: cluster.is_over("second"))
    left = cluster.before_stop("cpu", "--node-id", leaving)
    assert (left.returncode, left.stderr) == (0, "")
    assert staying in cluster.nodes()
    assert leaving not in cluster.nodes()
    leaving_process.send_signal(signal.SIGTERM)
    leaving_process.wait(timeout=60)
    wait_until(lambda: cluster.is_over("second"))
    assert cluster.status("second") == "succeeded", cluster.logs("second")
    assert not [event for event in events() if event["event"] == "lost"]
    assert "kept" in cluster.logs("second")
