"""The statuses of the jobs of a run, and how long ago each gave a sign of life."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, Final

from curation.shards.versions import FOLDER as VERSIONS
from curation.watch.document import Status, status_of
from infra.jobs.status import read_statuses
from infra.storage.files import is_local, join, list_folders, store_errors

LOCAL_INTERVAL_S: Final = 1.0
STORE_INTERVAL_S: Final = 10.0
"""Between two readings, however many pages ask: each lists and reads files of the store."""
Documents = dict[str, Any]
"""What the files of the statuses hold, by job; that of a version as `decisions/VERSION/JOB`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A job as it is now."""

    id: str
    """The job's name; `decisions/VERSION/JOB` for that of a version."""
    status: Status | None
    """None where its file cannot be understood."""
    problem: str = ""
    """Why it cannot."""
    silent_s: float = 0.0
    """Since its last sign of life."""

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended, as far as its status says."""
        return self.status is not None and self.status.ended is None

    @property
    def version(self) -> str | None:
        """The version of the run's index that it works on."""
        _, _, rest = self.id.partition(f"{VERSIONS}/")
        return rest.rpartition("/")[0] or None


def read_documents(run: str) -> Documents:
    """The statuses of all jobs that have run on a directory and its versions, as they are in the files.

    A job for a version keeps its status in the version's folder.

    Raises:
        OSError: the store fails.
    """
    with store_errors():
        found: Documents = dict(read_statuses(run))
        for version in list_folders(join(run, VERSIONS)):
            statuses = read_statuses(join(run, VERSIONS, version))
            found.update({f"{VERSIONS}/{version}/{job}": document for job, document in statuses.items()})
    return found


class Statuses:
    """Reads them when they are asked for, and not more often than they can have changed. Several threads may ask.

    A status says when it was written by the clock of its driver, which may be another machine's and go wrong. One that
    has changed since the last reading was written after it, whatever it says.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self._interval_s = LOCAL_INTERVAL_S if is_local(run) else STORE_INTERVAL_S
        self._lock = threading.Lock()
        self._read_s: float | None = None
        self._jobs: list[Watched] = []
        self._signs: dict[str, _Sign] = {}

    def now(self) -> list[Watched]:
        """The jobs of now: those that go on, the one that began last first; then the others, by when they ended.

        Raises:
            OSError: the store fails.
        """
        with self._lock:
            if self._read_s is None or time.monotonic() - self._read_s >= self._interval_s:
                self._jobs = sorted(self._read(), key=_order)
                self._read_s = time.monotonic()
            return self._jobs

    def _read(self) -> list[Watched]:
        jobs = []
        for name, document in read_documents(self.run).items():
            try:
                status = status_of(document)
            except ValueError as error:
                jobs.append(Watched(id=name, status=None, problem=str(error)))
                continue
            jobs.append(Watched(id=name, status=status, silent_s=self._silent_s(name, status)))
        return jobs

    def _silent_s(self, name: str, status: Status) -> float:
        now_s, sign = time.monotonic(), self._signs.get(name)
        if sign is None or sign.written != status.now:
            ago_s = max(0.0, time.time() - status.now)
            if sign is not None and self._read_s is not None:
                ago_s = min(ago_s, now_s - self._read_s)
            sign = self._signs[name] = _Sign(written=status.now, given_s=now_s - ago_s)
        return now_s - sign.given_s


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sign:
    """A sign of life: when it was written by the clock of the driver, and when that was by the one of this process."""

    written: float
    given_s: float


def _order(job: Watched) -> tuple[int, float]:
    if job.status is None:
        return 2, 0.0
    return (0, -job.status.began) if job.goes_on else (1, -job.status.now)
