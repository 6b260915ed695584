"""What watches this machine, and what there is to watch on it.

`make monitor` writes down where its Prometheus and Grafana are. Commands of ours that begin later tell Ray's dashboard,
and those that no Ray cluster announces (trainings, servers) leave a file for Prometheus' discovery while they live.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

VARIABLE: Final = "SOUL_MONITORING"
"""The folder of all this; without it, one of this user's in the system's temporary directory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Monitor:
    """What `make monitor` has started."""

    pid: int
    prometheus: str
    """Its address."""
    grafana: str | None = None
    """None where there is no Grafana."""


def folder() -> Path:
    """Where all this is written."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else Path(tempfile.gettempdir()) / f"soul-monitoring-{os.getuid()}"


def targets_folder() -> Path:
    """Where those that can be watched say so."""
    return folder() / "targets"


def running_monitor() -> Monitor | None:
    """What watches this machine now; None where nothing does."""
    try:
        monitor = Monitor(**json.loads((folder() / "monitor.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return monitor if psutil.pid_exists(monitor.pid) else None


@contextmanager
def announced_monitor(monitor: Monitor) -> Iterator[None]:
    """Inside, others know of a monitor."""
    path = folder() / "monitor.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(monitor)))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def announce(kind: str, address: str) -> Path:
    """Have Prometheus read metrics of this process, or of one that it keeps; remove the file when they are gone.

    Args:
        kind: `soul-training`, `soul-serving` or `soul-models`: what Prometheus calls the job.
        address: HOST:PORT of `/metrics`.

    Raises:
        OSError: the file cannot be written.
    """
    path = targets_folder() / f"{kind}-{address.replace(':', '-')}-{os.getpid()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps([{"targets": [address], "labels": {"job": kind}}]))
    partial.replace(path)
    return path


@contextmanager
def announced(kind: str, address: str) -> Iterator[None]:
    """Inside, Prometheus reads metrics here, where something watches this machine; see `announce`."""
    path = None
    with suppress(OSError):  # whether it is watched must not decide whether it works
        path = announce(kind, address)
    try:
        yield
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


def forget_the_dead() -> None:
    """Remove the files of processes that are gone and had no time to do so."""
    for path in targets_folder().glob("*.json"):
        pid = path.stem.rpartition("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            path.unlink(missing_ok=True)
