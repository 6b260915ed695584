"""What is kept of a run for those who watch it, now and later: its status and its log, beside what it makes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from infra.jobs import notes
from infra.jobs.job import About, Job
from infra.jobs.run_log import RunLog
from infra.jobs.status import History, RunStatus, write_status
from infra.jobs.unit_log import Line, line
from infra.storage.files import is_local

LOCAL_INTERVAL_S: Final = 2.0
STORE_INTERVAL_S: Final = 20.0
"""Between two writes to an object store: each sends the whole of the last file of the log."""


class RunRecord:
    """Takes lines and statuses, and writes them in a thread of its own: a slow store holds up no run. Of a job without
    a directory it keeps nothing.

    The latest status is written again and again until the run has ended: that its time goes on tells that the process
    lives, however long a unit or the last tidying takes.

    Where they cannot be written, a person is told once of each, and the run goes on.
    """

    def __init__(self, job: str, about: About) -> None:
        self._is_kept = bool(about.run)
        self._fields = {"run": about.run, "job": job}
        self._log = RunLog(about.run, job)
        self._history = History()
        self._interval_s = LOCAL_INTERVAL_S if is_local(about.run) else STORE_INTERVAL_S
        self._lines: list[Line] = []
        self._latest: RunStatus | None = None
        self._told: set[str] = set()
        self._changed = threading.Condition()
        self._is_ended = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="record")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_ended = True
            self._changed.notify()
        self._thread.join()

    def log(self, event: str, *, level: str = "info", **fields: Any) -> None:
        """Add a line to the log of the run."""
        self.take([line(event, level=level, **self._fields, **fields)])

    def take(self, lines: Sequence[Line]) -> None:
        """Add lines that workers have written."""
        if lines and self._is_kept:
            with self._changed:
                self._lines.extend(lines)

    def passed(self, unit: str, where: Mapping[str, Any], seconds: Mapping[str, float], kept: Sequence[Line]) -> None:
        """Note that a unit has been through a pool's stages, and what was said meanwhile."""
        self.take(kept)
        # Stages that only see that there is nothing to do take no time, and most of a line.
        shown = {name: rounded for name, value in seconds.items() if (rounded := round(value, 3))}
        self.log("passed", unit=unit, **where, seconds=shown)

    def committed(self, units: Sequence[str], failures: Mapping[str, str], **where: Any) -> None:
        """Note that units are committed, and which of them have failed."""
        for unit in units:
            if unit in failures:
                self.log("failed", level="warning", unit=unit, reason=failures[unit], **where)
            else:
                self.log("committed", unit=unit, **where)

    def left(self, units: Sequence[str], fault: str, **where: Any) -> None:
        """Note that units are left to the next run."""
        for unit in units:
            self.log("left", level="warning", unit=unit, reason=fault, **where)

    def show(self, status: RunStatus) -> None:
        """Take the status of now."""
        with self._changed:
            self._history.add(status)
            self._latest = status

    def end(self, reason: str) -> None:
        """Show that the run was broken off."""
        with self._changed:
            if self._latest is not None and self._latest.ended is None:
                self._latest = replace(self._latest.later(time.time()), ended=reason)
                self._history.add(self._latest)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_ended, timeout=self._interval_s)
                is_last, lines, status = self._is_ended, self._lines, self._latest
                self._lines = []
            self._write(lines, status)
            if is_last:
                return

    def _write(self, lines: Sequence[Line], status: RunStatus | None) -> None:
        self._log.add(lines)
        self._keep("log", self._log.write)
        if status is not None and self._is_kept:
            self._keep("status", lambda: write_status(status.later(time.time()), self._history))

    def _keep(self, what: str, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # noqa: BLE001 (of a store's client, say: it must not end the run)
            if what not in self._told:
                self._told.add(what)
                notes.tell(f"the {what} of the run cannot be kept now: {' '.join(str(error).split())}")


@contextmanager
def recorded(record: RunRecord, job: Job[Any], planned: int) -> Iterator[None]:
    """Inside a run goes on: its log has a line for the beginning, and one for the end and its reason."""
    record.log("began", planned=planned, settings=job.about.settings or None, done_before=job.about.num_done)
    try:
        yield
    except BaseException as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        record.end(reason)
        record.log("ended", level="warning", reason=reason)
        raise
    record.log("ended")
