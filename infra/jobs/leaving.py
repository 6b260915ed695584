"""What a machine does before it is taken away: `python -m infra.jobs.leaving --within SECONDS`.

A node of a Ray cluster tells the cluster that it leaves. Ray places nothing on it any more, the drivers of our runs
give its actors nothing more, and what these have in work is finished and committed. Ray ends the node when it has
nothing left to do.

The head (`--head`) leaves otherwise: a cluster ends with it. It sends SIGTERM to the drivers of submitted jobs, which
run here, and waits until they have ended. It does not ask Ray to stop the jobs: a job that Ray has stopped is done, to
Ray and to KubeRay, whatever its driver's status. One whose driver ends with a status of its own, 143, has failed, and
KubeRay begins it again.

A machine's owner runs this when it is told that the machine goes: `preStop` of a pod, a notice of a spot market.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any, Final

from infra.command_line import CommandFailedError, run_alone, whole_number
from infra.config import ConfigError

ABOUT: Final = "Leave a Ray cluster in order: what is in work here is finished, and nothing begins."
REASON: Final = "its machine is taken away"
POLL_S: Final = 0.5
HEARD_S: Final = 10.0
"""How long a head is still there when its jobs have ended: KubeRay asks every three seconds how they did."""
DASHBOARD: Final = "http://127.0.0.1:8265"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add(
        "--within", required=True, metavar="SECONDS", type=whole_number("seconds", least=1),
        help="when the machine is taken away at the latest; the command ends by then",
    )  # fmt: skip
    add("--head", action="store_true", help="this is the head: the drivers of submitted jobs are told to end")
    add("--node-id", metavar="ID", help="the node, where several share this machine's address")
    add(
        "--dashboard",
        default=DASHBOARD,
        metavar="URL",
        help=f"with --head: where jobs are known (default: {DASHBOARD})",
    )


def run(options: argparse.Namespace) -> None:
    """Leave, and return when there is nothing left to wait for.

    Raises:
        ConfigError: RAY_ADDRESS names no cluster, or this machine is no node of it, or several.
        CommandFailedError: Ray refuses, or time is over and something is still in work.
    """
    deadline_s = time.monotonic() + options.within
    if options.head:
        end_jobs(options.dashboard, deadline_s)
    else:
        leave(options.node_id, deadline_s)


def leave(node_id: str | None, deadline_s: float) -> None:
    """Tell the cluster that a node leaves, and wait until Ray has ended it.

    Args:
        node_id: in hexadecimal digits; None for the one that this machine is.
        deadline_s: on the monotonic clock; what is not finished by then is lost, and done anew elsewhere.

    Raises:
        ConfigError: RAY_ADDRESS names no cluster, or this machine is no node of it, or several.
        CommandFailedError: Ray refuses, or time is over.
    """
    import ray  # noqa: PLC0415 (Ray takes seconds to import)
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason  # noqa: PLC0415

    address = os.environ.get("RAY_ADDRESS", "")
    if not address:
        raise ConfigError("RAY_ADDRESS must name the cluster, such as HEAD:6379")
    cluster = ray._raylet.GcsClient(address=address)
    node_id = node_id or _own_node(cluster)
    deadline_ms = int((time.time() + deadline_s - time.monotonic()) * 1000)
    is_accepted, refusal = cluster.drain_node(
        node_id, DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"), REASON, deadline_ms
    )
    if not is_accepted:
        raise CommandFailedError(f"Ray does not let node {node_id} leave: {refusal}")
    while node_id in _nodes(cluster):
        _wait(deadline_s, f"node {node_id} still has work")


def end_jobs(dashboard: str, deadline_s: float) -> None:
    """Send SIGTERM to the drivers of all submitted jobs, and wait until they have ended and that is known.

    A job whose driver has not joined the cluster yet gets it as soon as it has.

    Args:
        dashboard: its address.
        deadline_s: on the monotonic clock.

    Raises:
        ConnectionError: there is no dashboard.
        CommandFailedError: time is over.
    """
    from ray.job_submission import JobSubmissionClient  # noqa: PLC0415 (Ray takes seconds to import)

    client = JobSubmissionClient(dashboard)
    told = set[int]()

    def running() -> list[Any]:
        return [job for job in client.list_jobs() if job.submission_id and not job.status.is_terminal()]

    while jobs := running():
        # A second one would break a driver off.
        drivers = {int(job.driver_info.pid) for job in jobs if job.driver_info is not None} - told
        for driver in drivers:
            with suppress(ProcessLookupError):  # it has ended since
                os.kill(driver, signal.SIGTERM)
        told |= drivers
        _wait(deadline_s, f"jobs have not ended: {', '.join(job.submission_id for job in jobs)}")
    if told:
        time.sleep(max(0.0, min(HEARD_S, deadline_s - time.monotonic())))


def _nodes(cluster: Any) -> dict[str, Any]:
    """The nodes that are alive, by their IDs."""
    from ray.core.generated.gcs_pb2 import GcsNodeInfo  # noqa: PLC0415

    found = cluster.get_all_node_info()
    return {key.hex(): node for key, node in found.items() if node.state == GcsNodeInfo.GcsNodeState.ALIVE}


def _own_node(cluster: Any) -> str:
    from ray.util import get_node_ip_address  # noqa: PLC0415

    here = get_node_ip_address()
    own = [key for key, node in _nodes(cluster).items() if node.node_manager_address == here]
    if len(own) != 1:
        raise ConfigError(f"{len(own)} nodes of the cluster have this machine's address {here}: give --node-id")
    return own[0]


def _wait(deadline_s: float, what: str) -> None:
    if time.monotonic() > deadline_s:
        raise CommandFailedError(f"time is over: {what}")
    time.sleep(POLL_S)


if __name__ == "__main__":
    sys.exit(run_alone("infra.jobs.leaving", ABOUT, add_arguments))
