"""Putting in order what a run has committed, beside the run: a job's `tidy`, called in a thread of the driver."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Final, Self

from infra.jobs import notes
from infra.jobs.job import Job

UNITS: Final = 256
"""Commits of so many units are put in order together."""


class Tidying:
    """A thread that tidies whenever enough has been committed, and once more at the end."""

    def __init__(self, job: Job[Any]) -> None:
        self.job = job
        self._num_units = self._num_seen = 0
        self._changed = threading.Condition()
        self._is_ended = self._is_broken = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="tidying")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_ended, self._is_broken = True, error is not None
            self._changed.notify()
        if error is None:
            self._thread.join()

    def committed(self, num_units: int) -> None:
        """Hear how many units of this run are committed."""
        with self._changed:
            self._num_units = num_units
            if num_units - self._num_seen >= UNITS:
                self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_ended or self._num_units - self._num_seen >= UNITS)
                is_last, self._num_seen = self._is_ended, self._num_units
                if self._is_broken:
                    return
            tidy(self.job)
            if is_last:
                return


def tidy(job: Job[Any]) -> None:
    """Put in order what is committed. A failure is told and ends nothing: the next run tidies again."""
    try:
        job.tidy()
    except Exception as error:  # noqa: BLE001 (of a store's client, say)
        notes.tell(f"what is committed could not be put in order now: {' '.join(str(error).split())}")
