"""A run on a cluster that has no machines until somebody asks for them: Ray's own autoscaler starts them here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from infra.jobs.asked_machines import least_reservations
from infra.jobs.cluster import end_processes
from infra.jobs.placement import ActorRange, ExecutionConfig, PoolConfig
from infra.servers.process import free_port
from tests.paths import ROOT

HEAD: Final = "f" * 50 + "000000"
MACHINES: Final[dict[str, Any]] = {
    "cluster_name": "from-none", "max_workers": 2, "upscaling_speed": 100.0, "idle_timeout_minutes": 1,
    "head_node_type": "ray.head.default",
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "cpu": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
    },
    "auth": {}, "docker": {}, "file_mounts": {}, "file_mounts_sync_continuously": False, "cluster_synced_files": [],
    "rsync_exclude": [], "rsync_filter": [], "initialization_commands": [], "setup_commands": [],
    "head_setup_commands": [], "worker_setup_commands": [], "head_start_ray_commands": [],
    "worker_start_ray_commands": [],
}  # fmt: skip
"""A provider that comes with Ray starts nodes as processes here."""
PROVIDER: Final = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
RUN: Final = """
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from infra.command_line import exit_status
from infra.jobs.cluster import ray_session
from infra.jobs.engine import run_on_ray
from infra.jobs.placement import ExecutionConfig, PoolConfig
from tests.worlds.tiny_units import TinyJob, TinyUnit, expected

AS_MANY_AS_THERE_IS_ROOM_FOR = (PoolConfig(name="all", num_cpus=0.8),)
HELD = Path(sys.argv[1]) / "held"

def run() -> None:
    job = TinyJob(out=Path(sys.argv[1]))
    execution = replace(job.execution, pools=AS_MANY_AS_THERE_IS_ROOM_FOR, machines_timeout_s=float(sys.argv[2]))
    job = replace(job, execution=execution)
    HELD.mkdir(parents=True, exist_ok=True)
    for key in expected(20):
        (HELD / key).touch()

    def end_when_two_work(progress) -> None:
        if progress.units_in_work >= 2:
            shutil.rmtree(HELD, ignore_errors=True)

    with ray_session("tiny"):
        run_on_ray([TinyUnit(key=key) for key in expected(20)], job, end_when_two_work)
    assert job.results() == expected(20)

sys.exit(exit_status(run, interrupted=""))
"""


def test_what_is_asked_for_is_one_actor_of_each_pool_or_its_least_number_and_one_that_commits() -> None:
    pools = (
        PoolConfig(name="look", stages=("a",), num_cpus=4, num_gpus=0.2, accelerator_type="L4"),
        PoolConfig(name="rate", stages=("b",), actors=2, num_cpus=1, memory_gb=3),
        PoolConfig(name="write", stages=("c",), actors=ActorRange(min=1, max=16), num_cpus=2),
    )
    assert least_reservations(ExecutionConfig(pools=pools, writer_cpus=0.2)) == [
        {"CPU": 4, "GPU": 0.2, "accelerator_type:L4": 0.001},
        {"CPU": 1, "memory": 3e9},
        {"CPU": 1, "memory": 3e9},
        {"CPU": 2},
        {"CPU": 0.2},
    ]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a driver of a cluster without a machine that works."""
    port = free_port()
    provider = {"type": "external", "module": PROVIDER, "launch_multiple": True}
    config = {**MACHINES, "provider": {**provider, "head_node_id": HEAD, "gcs_address": f"127.0.0.1:{port}"}}
    (tmp_path / "machines.json").write_text(json.dumps(config))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
    }  # fmt: skip
    # Sockets of Ray must have short paths.
    short = tempfile.mkdtemp(prefix="soul-", dir="/tmp")
    words = ["start", "--head", "--node-ip-address", "127.0.0.1", "--port", str(port), "--num-cpus", "0", "--block"]
    words += ["--include-dashboard", "false", "--temp-dir", short]
    words += ["--autoscaling-config", str(tmp_path / "machines.json")]
    log = tmp_path / "head.log"
    with log.open("wb") as sink:
        head = subprocess.Popen([sys.executable, "-m", "ray.scripts.scripts", *words], env=environment, stdout=sink)
    try:
        while "Ray runtime started" not in log.read_text():
            assert head.poll() is None, log.read_text()
            time.sleep(0.2)
        yield {**environment, "RAY_ADDRESS": f"127.0.0.1:{port}"}
    finally:
        head.terminate()
        head.wait(timeout=120)
        # Nodes that the autoscaler has started do not all end with it.
        end_processes([each for each in psutil.process_iter() if named(each, short)])
        shutil.rmtree(short)


def named(process: psutil.Process, part: str) -> bool:
    """Whether something is in a process's command."""
    try:
        return part in " ".join(process.cmdline())
    except psutil.Error:
        return False


@pytest.mark.slow
def test_machines_are_started_for_a_run_that_waits_for_them_or_has_work_for_more(
    cluster: dict[str, str], tmp_path: Path
) -> None:
    def run(timeout_s: float) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", RUN, str(tmp_path / "out"), str(timeout_s)]
        return subprocess.run(words, env=cluster, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)

    refused = run(0)
    assert refused.returncode == 2
    assert "leave none of the cluster's 0 for writing shards" in refused.stderr
    waited = run(120)
    assert waited.returncode == 0, waited.stderr
    assert "waiting for machines" in waited.stderr
    assert not (tmp_path / "out" / "held").exists(), "the second machine, of one CPU, was asked for by the run"
