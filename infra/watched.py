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
SCRAPE_S: Final = 5
"""Between two looks of the Prometheus that `make monitor` starts."""
KEEP_S: Final = 600.0
"""How long a process that was killed is still looked for; longer than `SoulServerGone` takes to fire."""
SAME_S: Final = 2.0
"""The kernel counts when processes began from when it started, which moves as the machine's clock is set right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Monitor:
    """What `make monitor` has started."""

    pid: int
    """Of the process that keeps it."""
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
        said = json.loads((folder() / "monitor.json").read_text())
        began_s = float(said.pop("began_s"))
        monitor = Monitor(**said)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return monitor if _lives(monitor.pid, began_s) else None


@contextmanager
def announced_monitor(monitor: Monitor) -> Iterator[None]:
    """Inside, others know of a monitor; its process runs."""
    path = folder() / "monitor.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**asdict(monitor), "began_s": psutil.Process(monitor.pid).create_time()}))
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
    began_s = round(psutil.Process().create_time())
    path = targets_folder() / f"{kind}-{address.replace(':', '-')}-{os.getpid()}-{began_s}.json"
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


class LeftBehind:
    """The files of processes that were killed, and so had no time to remove them.

    Such a file stays for a while, so that Prometheus finds nobody there and `SoulServerGone` fires. The files of those
    that were killed before anything watched are removed at once.
    """

    def __init__(self) -> None:
        self._found_s: dict[Path, float] = {}
        """When the process of a file was first found dead."""
        for path in _announcements(alive=False):
            path.unlink(missing_ok=True)

    def tidy(self, now_s: float) -> None:
        """Remove the files that have stayed for `KEEP_S`, and those whose place another process has taken.

        Args:
            now_s: time on a clock that never goes back.
        """
        taken = {_place(path) for path in _announcements(alive=True)}
        self._found_s = {path: self._found_s.get(path, now_s) for path in _announcements(alive=False)}
        for path, found_s in self._found_s.items():
            if now_s - found_s > KEEP_S or _place(path) in taken:
                path.unlink(missing_ok=True)


def _announcements(*, alive: bool) -> list[Path]:
    """The files of `announce` whose process runs, or those whose process does not."""
    found = []
    for path in targets_folder().glob("*.json"):
        _, *process = path.stem.rsplit("-", 2)
        if len(process) == 2 and all(word.isdigit() for word in process):
            pid, began_s = map(int, process)
            if _lives(pid, began_s) == alive:
                found.append(path)
    return found


def _place(path: Path) -> str:
    """Kind and address that a file announces."""
    return path.stem.rsplit("-", 2)[0]


def _lives(pid: int, began_s: float) -> bool:
    """Whether a process runs that has this number and began at this time, in seconds of the Unix epoch.

    Numbers are given again: after a restart of the machine, or once they have all been used.
    """
    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - began_s) <= SAME_S
        return bool(is_same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
