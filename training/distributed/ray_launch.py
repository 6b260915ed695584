"""Training on a Ray cluster: as many processes as were asked for, a GPU each, joined as `torchrun` joins them."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from infra.command_line import CommandFailedError
from infra.config import ConfigError
from infra.jobs.cluster import free_name, stopped

GRACE_S: Final = 30.0
"""How long the other processes have to save and stop when one has failed."""
PLACES_TIMEOUT_S: Final = 3600.0
"""How long the cluster may take to make room, or to start machines."""
START_TIMEOUT_S: Final = 600.0
"""How long it may take to start a worker where there is room."""


class Worker:
    """One process of the training, on whatever machine Ray placed it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def address(self) -> tuple[str, int]:
        """Where the others can meet this worker's process: its machine, and a port that is free there."""
        with socket.socket() as listener:
            listener.bind(("", 0))
            return ray.util.get_node_ip_address(), int(listener.getsockname()[1])

    def node(self) -> str:
        """The ID of the node that this worker is on."""
        return str(ray.get_runtime_context().get_node_id())

    def run(self, arguments: Sequence[str], environment: dict[str, str]) -> int:
        """Train to the end; returns the exit status. Ray shows what the first process prints."""
        quiet = None if environment["RANK"] == "0" else subprocess.DEVNULL
        command = [sys.executable, "-m", "training", "run", *arguments]
        self._process = subprocess.Popen(command, env=os.environ | environment, stdout=quiet, stderr=quiet)
        return self._process.wait()

    def stop(self) -> None:
        """Ask the process to save and stop."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process, which may be waiting for another that is gone."""
        if self._process is not None:
            self._process.kill()


def train_on_ray(arguments: Sequence[str], num_workers: int, *, name: str = "training") -> int:
    """Run `python -m training run <arguments>` in `num_workers` processes; returns the worst exit status.

    Needs a Ray session, which lists the processes as `name/0`, `name/1`, …. SIGTERM and ctrl-C reach all of them: they
    save and stop. So they do when a node of theirs is about to be taken away (`infra.jobs.leaving`).

    Raises:
        ConfigError: the cluster does not have as many GPUs, or CPUs when it has no GPUs.
        CommandFailedError: the cluster's places or processes for them were not there in time, or one was lost.
    """
    resources = ray.cluster_resources()
    bundle = {"GPU": 1.0, "CPU": 1.0} if resources.get("GPU") else {"CPU": 1.0}
    for kind, amount in bundle.items():
        if resources.get(kind, 0) < num_workers * amount:
            raise ConfigError(
                f"{num_workers} processes need {num_workers * amount:g} {kind}s, the Ray cluster has "
                f"{resources.get(kind, 0):g}"
            )
    group = placement_group([bundle] * num_workers, strategy="PACK", name=name)
    try:
        if not group.wait(PLACES_TIMEOUT_S):
            raise CommandFailedError(
                f"the Ray cluster had no room for {num_workers} processes within {PLACES_TIMEOUT_S:g} s: others use it"
            )
        return _train(group, bundle, arguments, num_workers, name)
    except ray.exceptions.RayError as error:
        raise CommandFailedError(stopped(error)) from error
    finally:
        remove_placement_group(group)


def _train(group: Any, bundle: dict[str, float], arguments: Sequence[str], num_workers: int, name: str) -> int:
    workers = [
        ray.remote(Worker)
        .options(
            num_cpus=bundle["CPU"],
            num_gpus=bundle.get("GPU", 0),
            name=free_name(name),
            max_concurrency=2,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index),
        )
        .remote()
        for index in range(num_workers)
    ]
    # A worker loads nothing itself, so that this is a matter of seconds.
    host, port = ray.get(workers[0].address.remote(), timeout=START_TIMEOUT_S)
    nodes = frozenset(ray.get([worker.node.remote() for worker in workers], timeout=START_TIMEOUT_S))
    common = {"MASTER_ADDR": host, "MASTER_PORT": str(port), "WORLD_SIZE": str(num_workers)}
    # Ray shows each worker its own GPU only, so that it is number 0 to all of them.
    running = [
        worker.run.remote(list(arguments), {**common, "RANK": str(rank), "LOCAL_RANK": "0"})
        for rank, worker in enumerate(workers)
    ]

    def stop(*_signal: object) -> None:
        for worker in workers:
            worker.stop.remote()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        return _wait(workers, running, nodes, stop)
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait(workers: Sequence[Any], running: list[Any], nodes: frozenset[str], stop: Callable[[], None]) -> int:
    """The worst status. When a process fails, the others are stopped: they would wait for it for ever."""
    worst, waiting, deadline, is_leaving = 0, running, math.inf, False
    while waiting:
        if not is_leaving and not nodes.isdisjoint(ray._private.state.state.get_draining_nodes()):
            print("soul: a machine of the training is taken away: it saves and stops", file=sys.stderr, flush=True)
            is_leaving = True
            stop()
        try:
            done, waiting = ray.wait(waiting, timeout=1.0)
        except KeyboardInterrupt:
            stop()
            continue
        for status in ray.get(done):
            if status and not worst:
                worst, deadline = status, time.monotonic() + GRACE_S
                stop()
        if time.monotonic() > deadline:
            ray.get([worker.kill.remote() for worker in workers])
            deadline = math.inf
    return worst
