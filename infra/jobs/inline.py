"""A run in this process: one unit after the other, for debugging and for small jobs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Generic, TypeVar

from infra.jobs import notes, tally, unit_log
from infra.jobs.ending import sigterm_told
from infra.jobs.job import Job
from infra.jobs.machine_fault import MachineFaultError
from infra.jobs.persistence import persistently
from infra.jobs.progress import Progress
from infra.jobs.record import RunRecord, recorded
from infra.jobs.status import RunView, was_done
from infra.jobs.tidying import tidy
from infra.jobs.waiting import check_none_left, count_left, why_ended
from infra.jobs.watch import Report

U = TypeVar("U")


class InlineRun(Generic[U]):
    """One run of a job's units."""

    def __init__(self, units: Sequence[U], job: Job[U], report: Report) -> None:
        """Args:
        units: what is to be done.
        job: the kind of work; its placement does not apply.
        report: called with the totals after every unit and commit, and whenever the worker says that it is alive or has
            something to tell.
        """
        self.units = units
        self.job = job
        self.progress = Progress()
        self.num_done = 0
        self.ending: str | None = None
        """Why no further unit begins; None while units do."""
        self.is_ended_by_signal = False
        self._report = report
        self._reporting = threading.Lock()
        self._finished: list[U] = []
        self._record, self._view = RunRecord(job.name, job.about), RunView(job, len(units))

    def run(self) -> None:
        """Do the units; an unexpected exception is a traceback.

        Raises:
            UnitsWaitError: units are left to the next run.
        """
        self.job.open()
        if not self.units and was_done(self.job):
            tidy(self.job)  # what is kept of the last run is worth more than that this one had nothing to do
            return
        with self._record, recorded(self._record, self.job, len(self.units)):
            if self.units:
                self._run()
            tidy(self.job)
            num_left = len(self.units) - self.num_done
            self._tell(ended=why_ended(self.progress, num_left, ending=self.ending))
            check_none_left(self.progress, num_left, ending=self.ending, is_signal=self.is_ended_by_signal)

    def _run(self) -> None:
        with notes.heard_by(unit_log.teller(self._note)), sigterm_told(self._told_to_end):
            worker = self.job.worker(self.job.stages, debug=True)
            for number, unit in enumerate(self.units, start=1):
                with unit_log.of_unit(self.job.key(unit), 1) as said:
                    self._try(partial(worker.run, unit, self._alive), said)
                if self.is_ended_by_signal and self.ending is None:
                    self.ending = "SIGTERM"
                is_over = number == len(self.units) or self.ending is not None
                if self._finished and (is_over or len(self._finished) == self.job.units_per_commit):
                    self._commit()
                self._tell()
                if is_over:
                    break

    def _try(self, work: partial[U], said: unit_log.UnitLog) -> None:
        self.progress.units_in_work, before = 1, self.progress.in_work
        self._tell()
        try:
            self._finished.append(persistently(work, self.job.execution.patience_s))
            self._record.passed(said.unit, {"attempt": said.attempt}, said.seconds, said.kept)
        except MachineFaultError as error:
            self._record.take(said.kept)
            self._leave(error, [said.unit])
            self.progress.in_work = before
        self.progress.units_in_work, self.progress.units_finished = 0, len(self._finished)

    def _commit(self) -> None:
        units, self._finished = self._finished, []
        try:
            committed = persistently(partial(self.job.commit, units), self.job.execution.patience_s)
            self.progress.merge(committed)
            self.num_done += len(units)
            self._record.committed([self.job.key(unit) for unit in units], committed.failures)
        except MachineFaultError as error:
            self._leave(error, [self.job.key(unit) for unit in units])
        self.progress.in_work = self.progress.units_finished = 0

    def _leave(self, error: MachineFaultError, units: Sequence[str]) -> None:
        count_left(self.progress.waiting, str(error), len(units))
        self._record.left(units, str(error))
        if error.is_for_all:
            self.ending = str(error)

    def _tell(self, *, ended: str | None = None) -> None:
        with self._reporting:
            for name, value in tally.take().items():
                self.progress.counts[name] = self.progress.counts.get(name, 0.0) + value
            if self.units:
                self._report(self.progress)
            self._record.show(self._view.status(deepcopy(self.progress), ending=self.ending, ended=ended))

    def _alive(self) -> None:
        self.progress.in_work += 1
        self._tell()

    def _note(self, line: str) -> None:
        self.progress.notes.append(line)
        self._tell()

    def _told_to_end(self) -> None:
        self.is_ended_by_signal = True
