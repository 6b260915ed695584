"""A Ray cluster of several machines, on this one: each node has its own processes, which can be killed or frozen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from ray._private import ray_constants
from ray.cluster_utils import Cluster

from infra.jobs.cluster import LOCAL_SETTINGS, OWN_SETTINGS

PATIENT = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_timeout_ms": 1000}
"""A node that does not answer for a few seconds is taken to be dead; by default it takes a minute."""


UNPACKED = """
import ray
from infra.jobs.cluster import ray_session
from infra.jobs.ledger import start_ledger
with ray_session("first"):
    ray.get(start_ledger("first").snapshot.remote())
"""


class Machines:
    """The nodes of a cluster. The first one has no place for work; drivers that join it count as running there."""

    def __init__(self, num_cpus: Sequence[float], *, dashboard: bool) -> None:
        """Start a head, and a node with each of `num_cpus`."""
        settings = {**PATIENT, "health_check_failure_threshold": 4}
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": dashboard, "_system_config": settings},
        )
        # Nodes on one machine share the folder into which each unpacks the code: let one do so before the others look.
        subprocess.run([sys.executable, "-c", UNPACKED], env=joining(self.address), check=True, timeout=100)
        self.nodes = [self.add(cpus) for cpus in num_cpus]
        self.frozen: list[psutil.Process] = []

    @property
    def address(self) -> str:
        """For `RAY_ADDRESS`."""
        return str(self.cluster.address)

    def add(self, num_cpus: float) -> Any:
        """Another node."""
        return self.cluster.add_node(num_cpus=num_cpus)

    def processes(self, node: Any) -> list[psutil.Process]:
        """A node's raylet and its workers."""
        (info,) = node.all_processes["raylet"]
        raylet = psutil.Process(info.process.pid)
        return [raylet, *raylet.children(recursive=True)]

    def processes_left(self, node: Any) -> list[psutil.Process]:
        """The same of a node that Ray may have ended by itself."""
        try:
            return [each for each in self.processes(node) if each.status() != psutil.STATUS_ZOMBIE]
        except psutil.NoSuchProcess:
            return []

    def workers(self, part: str) -> list[psutil.Process]:
        """Workers of all nodes that run something with `part` in its name."""
        found = []
        for node in self.nodes:
            with suppress(psutil.NoSuchProcess):
                found += [each for each in self.processes(node) if part in " ".join(each.cmdline())]
        return found

    def kill(self, node: Any) -> None:
        """Take a node away, as a spot market does: all of its processes at once, with no word before."""
        self.nodes.remove(node)
        for process in self.processes(node):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self.cluster.worker_nodes.discard(node)

    def freeze(self, node: Any) -> None:
        """Let a node stand still: its processes neither work nor answer nor end."""
        self.nodes.remove(node)
        self.frozen += self.processes(node)
        for process in self.frozen:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        self.cluster.worker_nodes.discard(node)

    def thaw(self) -> None:
        """Let frozen nodes go on, as one that has only been away."""
        for process in self.frozen:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def end(self) -> None:
        """End all nodes."""
        for process in self.frozen:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.cluster.shutdown()


@contextmanager
def machines(*num_cpus: float, dashboard: bool = False) -> Iterator[Machines]:
    """A cluster of such nodes. Without a dashboard nothing says where their metrics are."""
    settings = {**OWN_SETTINGS, **LOCAL_SETTINGS}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    # All nodes have this machine's loopback address, as a local cluster of this process, which other tests have, has.
    known, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    found = Machines(num_cpus, dashboard=dashboard)
    try:
        yield found
    finally:
        found.end()
        ray_constants.ENABLE_RAY_CLUSTER = known
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def joining(address: str) -> dict[str, str]:
    """The environment of a driver that joins a cluster, from the root of this repository."""
    return {**os.environ, "RAY_ADDRESS": address, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
