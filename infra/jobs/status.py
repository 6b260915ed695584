"""What is known of a run at one moment, and how it is kept beside the run for those who watch it.

`RUN/status/<job>.json` is written every few seconds while a run of the job goes on, and stays after it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Final

from infra.jobs.job import About, Job
from infra.jobs.progress import Progress, Silence
from infra.storage.files import join, list_files, read_bytes, write_atomically

FOLDER: Final = "status"
MAX_POINTS: Final = 240
"""Moments of a run that are kept: beyond, every second one goes, and those that follow lie twice as far apart."""
FIRST_INTERVAL_S: Final = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolStatus:
    """The actors of a pool and what they do."""

    name: str
    stages: tuple[str, ...] = ()
    ready: int = 0
    """Actors that have loaded what they need."""
    starting: int = 0
    most: int = 1
    """Actors that the cluster has room for."""
    places: int = 1
    """Units that can be in work at once."""
    in_hand: int = 0
    """Units that actors have, those that lie ready at one included."""
    waiting: int = 0
    """Units that wait for the pool."""
    loads: int = 0
    """Times that an actor has loaded what it needs."""
    loading_s: float = 0.0
    """Seconds that this took, over all actors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStatus:
    """A run as it is now."""

    job: str
    about: About
    planned: int
    """Units that were to be done when the run began."""
    began: float
    """Unix time."""
    now: float
    progress: Progress = field(default_factory=Progress)
    pools: tuple[PoolStatus, ...] = ()
    nodes: int = 1
    attempts: int = 0
    """Times that a worker was given a unit."""
    lost: Mapping[str, int] = field(default_factory=dict)
    """Units that had to begin anew, by what their worker was lost to."""
    idle_s: float = 0.0
    """Seconds since a unit last came to its end."""
    oldest: str | None = None
    """The unit that a worker took up longest ago of those in work."""
    oldest_s: float = 0.0
    """Seconds since then."""
    unit_timeout_s: float = math.inf
    """After so many seconds without a sign of life a worker is ended."""
    ending: str | None = None
    """Why nothing begins any more; None while units do."""
    ended: str | None = None
    """Why the run has ended before all was done; empty where all was, None while it goes on."""

    @property
    def units(self) -> dict[str, int]:
        """How many units are in each state; together they are all that were planned."""
        progress = self.progress
        done = progress.units - progress.failed
        left = progress.waiting.total()
        begun = progress.units_in_work + progress.units_finished
        return {
            "waiting": max(0, self.planned - progress.units - left - begun),
            "in_work": progress.units_in_work,
            "finished": progress.units_finished,
            "done": done,
            "failed": progress.failed,
            "left": left,
        }

    def later(self, now: float) -> RunStatus:
        """The same at a later time, at which nothing else is known; one that has ended does not change any more."""
        if self.ended is not None:
            return self
        passed_s = max(0.0, now - self.now)
        oldest_s = self.oldest_s + (passed_s if self.oldest is not None else 0.0)
        return replace(self, now=now, idle_s=self.idle_s + passed_s, oldest_s=oldest_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """Totals at an earlier moment."""

    at: float
    """Unix time."""
    units: int = 0
    clips: int = 0
    kept: int = 0
    video_s: float = 0.0

    @classmethod
    def of(cls, status: RunStatus) -> Point:
        """The totals of a status."""
        progress = status.progress
        return cls(
            at=status.now, units=progress.units, clips=progress.clips, kept=progress.kept, video_s=progress.video_s
        )


class History:
    """The totals of a run over its time, from the beginning to now, in a bounded number of moments."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self._interval_s = FIRST_INTERVAL_S

    def add(self, status: RunStatus) -> None:
        """Keep the totals of now, if the last kept ones are old enough, or the run has ended."""
        is_due = not self.points or status.now - self.points[-1].at >= self._interval_s
        if not is_due and status.ended is None:
            return
        self.points.append(Point.of(status))
        if len(self.points) > MAX_POINTS:
            self.points = self.points[::2]
            self._interval_s *= 2


def status_path(run: str, job: str) -> str:
    """Where the status of a job's last run on a directory is."""
    return join(run, FOLDER, f"{job}.json")


def write_status(status: RunStatus, history: History) -> None:
    """Keep a status beside its run.

    Raises:
        OSError: the disk or the store fails.
    """
    counts = [
        {"name": name, "labels": labels, "value": _plain(value)}
        for (name, *labels), value in status.progress.counts.items()
    ]
    document = _plain(replace(status, progress=replace(status.progress, counts={})))
    document["progress"]["counts"] = counts
    document |= {"units": status.units, "history": _plain(history.points)}
    # The name of a file that failed may hold bytes that are no text.
    data = json.dumps(document, ensure_ascii=False, allow_nan=False).encode(errors="replace")
    write_atomically(status_path(status.about.run, status.job), data)


def read_statuses(run: str) -> dict[str, dict[str, Any]]:
    """The last status of each job that has run on a directory, as it is in the file, by the job's name.

    The names are those of `RunStatus` and its parts, with `units` by state and `history`, a list of `Point`.

    Raises:
        OSError: the store fails.
    """
    found = {}
    for name in list_files(join(run, FOLDER), ".json"):
        try:
            found[name.removesuffix(".json")] = json.loads(read_bytes(join(run, FOLDER, name)))
        except (FileNotFoundError, ValueError):
            continue  # a file that another version wrote, or that somebody deletes
    return found


def was_done(job: Job[Any]) -> bool:
    """Whether the last run of a job on its directory has done all, as far as its status tells.

    Raises:
        OSError: the store fails.
    """
    return bool(job.about.run) and read_statuses(job.about.run).get(job.name, {}).get("ended") == ""


def _plain(value: Any) -> Any:
    """A value as JSON knows it, without infinity."""
    if is_dataclass(value):  # `asdict` takes a Counter apart
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class RunView:
    """Makes a run's statuses: it knows what does not change, and how long ago a unit last came to its end."""

    def __init__(self, job: Job[Any], planned: int) -> None:
        self._job, self._planned, self._began = job, planned, time.time()
        self._num_ended, self._since_s = 0, time.monotonic()

    def status(
        self, progress: Progress, silence: Silence | None = None, pools: Sequence[PoolStatus] = (), **known: Any
    ) -> RunStatus:
        """The status of now.

        Args:
            progress: totals.
            silence: of units in hand.
            pools: as they are.
            known: further fields of `RunStatus`.
        """
        num_ended = progress.units + progress.units_finished + progress.waiting.total()
        if num_ended != self._num_ended:
            self._num_ended, self._since_s = num_ended, time.monotonic()
        return RunStatus(
            job=self._job.name, about=self._job.about, planned=self._planned, began=self._began, now=time.time(),
            progress=progress, pools=tuple(pools), idle_s=time.monotonic() - self._since_s,
            oldest=None if silence is None else silence.oldest, oldest_s=0.0 if silence is None else silence.oldest_s,
            unit_timeout_s=self._job.execution.unit_timeout_s, **known,
        )  # fmt: skip
