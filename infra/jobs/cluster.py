"""The Ray cluster that a run uses: the one that RAY_ADDRESS names, or one started on this machine."""

from __future__ import annotations

import itertools
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.job_config import JobConfig

from infra.command_line import CommandFailedError
from infra.jobs.reach import given_address
from infra.terminal import off_the_terminal
from infra.watched import running_monitor

ENDING = (signal.SIGINT, signal.SIGTERM)
ADDRESS_TIMEOUT_S = 10.0
ENDING_TIMEOUT_S = 3.0
"""How long the processes of a cluster have to end by themselves."""
RAYS_LINE = re.compile(r"\[[\d-]+ [\d:,.]+ \w \d+ \d+\] (\(\w+\) )?\w+\.cc:\d+: ")
PRINT = ray._private.worker.print_to_stdstream
OWN_SETTINGS = {
    # Workers are started when actors ask for them: a prestarted idle one per CPU costs seconds.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A node that runs out of memory loses one worker at a time, the newest first. By default Ray ends several at once,
    # the ledger among them, without which a run cannot go on.
    "RAY_worker_killing_policy_by_group": "true",
    # Ray's own processes otherwise write to this terminal; set this to "info" to look into the cluster itself.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
LOCAL_SETTINGS = {
    # Metrics reach whoever watches after 2 s, not 10: runs of a minute are worth watching, too.
    "RAY_metrics_report_interval_ms": "2000",
    # The whole cluster, not the dashboard alone, listens on loopback only: see `_start`.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Nobody has to paste a token into the dashboard. On a machine shared with people whom you do not trust, set this to
    # "token".
    "RAY_AUTH_MODE": "disabled",
}


class ClusterError(OSError):
    """Ray does not start; the message is one line."""


@contextmanager
def ray_session(
    name: str = "soul", *, num_cpus: int | None = None, dashboard: bool = True, log_to_driver: bool = False
) -> Iterator[str]:
    """Join the cluster that `RAY_ADDRESS` names, or start one here; yields the dashboard's address.

    A cluster that happens to run on this machine is never joined unasked. The first ctrl-C or SIGTERM raises
    `KeyboardInterrupt`. Later ones are ignored: they would only break off the cleanup.

    Args:
        name: of the job, where the cluster's jobs are listed.
        num_cpus: of a cluster started here; the machine's by default.
        dashboard: whether a cluster started here has one.
        log_to_driver: whether what workers print appears here.

    Raises:
        ConnectionError: there is no cluster at `RAY_ADDRESS`.
        ClusterError: none could be started here.
    """
    if ray.is_initialized():
        yield _dashboard()
        return
    with interrupted_once() as arm:
        try:
            _start(name, num_cpus=num_cpus, dashboard=dashboard, log_to_driver=log_to_driver)
            arm()  # Ray has set a handler of its own for SIGTERM
            yield _dashboard()
        finally:
            started = started_here()
            ray.shutdown()
            end_processes(started)


def stopped(error: ray.exceptions.RayError) -> str:
    """One line for people on a run that Ray ended."""
    # The task's own exception comes first; Ray's exception, with advice, follows it.
    own = str(error).partition("The above exception was the direct cause")[0]
    lines = [line for line in own.splitlines() if line.strip()] or [type(error).__name__]
    # Of memory Ray says in the first line what has happened, and much after it.
    reason = lines[0 if isinstance(error, ray.exceptions.OutOfMemoryError) else -1].strip()
    return f"the run stopped: {reason}; the same command goes on"


@contextmanager
def telling_why_it_stopped() -> Iterator[None]:
    """Inside, an error of Ray's that ends the run becomes one line for people.

    Raises:
        CommandFailedError: in place of a RayError.
    """
    try:
        yield
    except ray.exceptions.RayError as error:
        raise CommandFailedError(stopped(error)) from error


def started_here() -> list[psutil.Process]:
    """The processes of a cluster that this process started, with their children; none if it joined another cluster."""
    node = ray._private.worker._global_node
    if given_address() is not None or node is None:
        return []
    processes: list[psutil.Process] = []
    for info in (info for infos in node.all_processes.values() for info in infos):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(info.process.pid)
            processes += [process, *process.children(recursive=True)]
    return processes


def end_processes(processes: Sequence[psutil.Process]) -> None:
    """Wait a while for processes to end, then kill them: one that is loading a library does not notice the shutdown."""
    _, left = psutil.wait_procs(processes, timeout=ENDING_TIMEOUT_S)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def dashboard_hint() -> str:
    """What a person needs, besides its address, to open the dashboard; empty if nothing."""
    if given_address() is not None or os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return ""
    return f" (it asks for the token that `{Path(sys.executable).parent / 'ray'} get-auth-token` prints)"


def free_name(prefix: str) -> str:
    """The first of `prefix/0`, `prefix/1`, … that no actor of this job has."""
    taken = set(ray.util.list_named_actors())
    return next(name for number in itertools.count() if (name := f"{prefix}/{number}") not in taken)


def logs_directory() -> str:
    """Where Ray's processes and workers on this machine write their logs."""
    return str(Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "session_latest", "logs"))


def _start(name: str, *, num_cpus: int | None, dashboard: bool, log_to_driver: bool) -> None:
    address = given_address()
    if address is not None:
        check_listens(address)
    for setting, value in OWN_SETTINGS.items():
        os.environ.setdefault(setting, value)
    if address is None:
        for setting, value in {**LOCAL_SETTINGS, **watched_by()}.items():
            os.environ.setdefault(setting, value)
        # With this off, a cluster of one machine has the address 127.0.0.1, and its ports are open to this machine
        # alone. Ray means the setting for other systems and has read it at import, so the constant is set as well.
        ray._private.ray_constants.ENABLE_RAY_CLUSTER = os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] != "0"
    # Ray has no setting for the lines that it prints itself.
    ray._private.worker.print_to_stdstream = print_our_lines
    root = str(Path(__file__).resolve().parents[2])
    try:
        with off_the_terminal():
            ray.init(
                address=address or "local",
                num_cpus=None if address else num_cpus,
                include_dashboard=None if address else dashboard,
                log_to_driver=log_to_driver,
                logging_level=logging.CRITICAL,
                job_config=JobConfig(metadata={"name": name}),
                # The machines of a cluster that is joined get the code; a local cluster has it.
                runtime_env={"working_dir": root, "excludes": [".git", ".venv", "runs"]} if address else None,
            )
    except Exception as error:  # Ray raises bare ones
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        if address is not None:
            raise ConnectionError(f"no Ray cluster at RAY_ADDRESS={address}: {reason}") from error
        raise ClusterError(f"Ray does not start: {reason}; its logs are in {logs_directory()}") from error


def watched_by() -> dict[str, str]:
    """What Ray's dashboard must know to show what `make monitor` records of this machine."""
    monitor = running_monitor()
    if monitor is None:
        return {}
    boards = {} if monitor.grafana is None else {"RAY_GRAFANA_HOST": monitor.grafana}
    return {"RAY_PROMETHEUS_HOST": monitor.prometheus, **boards}


def print_our_lines(data: dict[str, Any], *, ignore_prefix: bool) -> None:
    """Print lines of workers, without the log lines of Ray's libraries and the errors that Ray raises here anyway."""
    lines = [line for line in data["lines"] if not RAYS_LINE.search(line)]
    if lines and data["pid"] != "raylet":
        PRINT({**data, "lines": lines}, ignore_prefix=ignore_prefix)


def check_listens(address: str) -> None:
    """Check that something listens at the address of a cluster: Ray itself would try for minutes and say nothing.

    Raises:
        ConnectionError: nothing listens at the address.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return  # "auto", or a form that Ray itself has to judge
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ADDRESS_TIMEOUT_S).close()
    except OSError as error:
        raise ConnectionError(f"no Ray cluster at RAY_ADDRESS={address}: {error}") from error


@contextmanager
def interrupted_once() -> Iterator[Callable[[], None]]:
    """Raise `KeyboardInterrupt` at the first ctrl-C or SIGTERM and ignore later ones; yields what sets the handlers."""

    def interrupt(*_: object) -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    def arm() -> None:
        for number in armed:
            signal.signal(number, interrupt)

    # Handlers stay as they are in a thread, and where a shell has made this background process ignore ctrl-C.
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in ENDING} if main else {}
    armed = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    arm()
    try:
        yield arm
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _dashboard() -> str:
    url = ray._private.worker.get_dashboard_url()
    return f"http://{url}" if url else "not running"
