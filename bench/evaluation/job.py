"""Which rows are missing, and how they are computed: in this process or on Ray, with the engine of `infra.jobs`.

A unit is one video with all of its missing rows, so that its frames are decoded and its face is tracked once. An error
in one video does not affect the others: see `bench.evaluation.trouble`.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.evaluation import controls
from bench.evaluation.trouble import LOG, is_unexpected, log_entry, outcome_of
from bench.metrics.measured_video import file_hash
from bench.metrics.metric import Input, Metric, Outcome, VideoInput
from bench.metrics.registry import MetricsConfig, build_metrics
from bench.rows import CRASHED, Row, RowKey, RowStore
from bench.samples.samples import Sample
from infra.jobs.job import About, Alive
from infra.jobs.machine_fault import machine_fault
from infra.jobs.placement import ExecutionConfig
from infra.jobs.progress import Progress
from infra.jobs.workers import Workers
from infra.served.endpoint import NotNowError
from infra.storage.line_files import append_lines

MISSING = "missing"
"""Reason of a row whose method made no video of the sample."""
UNREADABLE = "not readable"
"""Reason of a row whose video cannot be read; the operating system's message follows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One row to compute."""

    row: Row
    """The row with its key; its values are not measured yet."""
    donor: Sample | None = None
    """Whose sound or image the control takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """One method's video of one sample."""

    method: str
    sample: Sample
    video: Path | None
    work: tuple[Work, ...]
    lack: str | None = None
    """Why the video cannot be measured, known before it is decoded: `missing`, `not readable`."""
    content: str = ""
    """Content hash of the video; empty where there is a `lack`."""
    rows: tuple[Row, ...] = ()
    """The rows that have been computed."""
    postponed: tuple[tuple[str, str], ...] = ()
    """Metric and reason of the rows that could not be computed now; the next run tries them again."""
    log: str = ""
    """Tracebacks of unexpected exceptions."""

    def found(self) -> Unit:
        """The unit with the content hash of its video, or with the `lack`."""
        if self.video is None:
            return replace(self, lack=MISSING)
        try:
            return replace(self, content=file_hash(self.video))
        except OSError as error:
            return replace(self, lack=f"{UNREADABLE} ({error.strerror})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Which videos of which methods are to be measured by which metrics."""

    samples: Mapping[str, Sample]
    methods: Mapping[str, Mapping[str, Path | None]]
    """Videos by method and sample."""
    metrics: Sequence[Metric]
    controls: Sequence[str] = ()
    retry: bool = False
    """Whether rows that ended in a fault of the program count as missing."""

    def units(self, store: RowStore) -> list[Unit]:
        """The units whose rows `store` lacks, in the order of methods and samples.

        Raises:
            ValueError: a control cannot be made of these samples.
        """
        known = store.by_key()
        given = {control: controls.donors(self.samples, control) for control in self.controls}
        units = []
        for method, videos in self.methods.items():
            for id_, sample in self.samples.items():
                unit = Unit(method=method, sample=sample, video=videos.get(id_), work=()).found()
                wanted = [
                    self._work(unit, metric, control, given.get(control, {}).get(id_))
                    for control in ("", *self.controls)
                    for metric in self.metrics
                    if not control or (unit.lack is None and controls.touches(control, metric))
                ]
                work = tuple(item for item in wanted if self._is_missing(item.row, unit.lack, known))
                if work:
                    units.append(replace(unit, work=work))
        return units

    def _is_missing(self, row: Row, lack: str | None, known: Mapping[RowKey, Row]) -> bool:
        before = known.get(row.key)
        if before is None or (self.retry and before.is_fault):
            return True
        # Rows with different values of `lack` have the same key: an unreadable file may be missing now.
        return lack is not None and before.reason != lack

    def _work(self, unit: Unit, metric: Metric, control: str, donor: Sample | None) -> Work:
        row = Row(
            method=unit.method,
            sample=unit.sample.id,
            control=control,
            metric=metric.name,
            protocol=metric.protocol,
            video=unit.content,
            inputs=inputs_hash(metric, unit, control, donor),
            reason="not measured",
        )
        return Work(row=row, donor=donor)


def inputs_hash(metric: Metric, unit: Unit, control: str, donor: Sample | None) -> str:
    """Sixteen hex digits of what the metric uses besides the video; empty where it uses nothing else."""
    used: dict[str, str] = {}
    if Input.AUDIO in metric.inputs and control == controls.SHUFFLED:
        assert donor is not None, "every sample has a donor"
        used["audio"] = "" if donor.audio is None else _input_hash(donor.audio)
    if Input.IMAGE in metric.inputs:
        image = donor.image if control == controls.OTHER_IDENTITY and donor is not None else unit.sample.image
        used["image"] = "" if image is None else _input_hash(image)
    if Input.PROMPT in metric.inputs:
        used["prompt"] = unit.sample.prompt
    return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()[:16] if used else ""


def _input_hash(path: Path) -> str:
    """Content hash of a file, or `UNREADABLE`: then the row is computed again once the file can be read."""
    try:
        return file_hash(path)
    except OSError:
        return UNREADABLE


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationJob:
    """What `python -m bench evaluate` runs."""

    out: Path
    """Where the rows go; on a cluster every machine must reach it."""
    metrics: MetricsConfig
    names: tuple[str, ...]
    """Metrics to load."""
    workers: Workers = Workers()
    """How many processes compute, and where."""
    unit_timeout_s: float = 3600.0
    """A video that keeps its worker this long without a row is given up after three attempts."""

    @property
    def name(self) -> str:
        """The command."""
        return "bench-evaluate"

    @property
    def about(self) -> About:
        """Nothing is kept beside the rows."""
        return About()

    @property
    def execution(self) -> ExecutionConfig:
        """Placement and limits."""
        return self.workers.execution(self.unit_timeout_s)

    @property
    def stages(self) -> tuple[str, ...]:
        """One stage, so that all metrics share an actor and its face tracks."""
        return ("evaluate",)

    @property
    def units_per_commit(self) -> int:
        """One: the rows of a video are written as soon as they are computed."""
        return 1

    def open(self) -> None:
        """Nothing to clear: torn lines are cut off by the next writer."""

    def key(self, unit: Unit) -> str:
        """Method and sample."""
        return f"{unit.method}/{unit.sample.id}"

    def worker(
        self,
        stages: Sequence[str],  # noqa: ARG002 (there is one stage)
        *,
        debug: bool,  # noqa: ARG002 (bugs are let out)
        units_in_flight: int = 1,  # noqa: ARG002 (`Workers` asks for no more)
    ) -> EvaluationWorker:
        """The metrics, loading their weights when the first video comes."""
        return EvaluationWorker({metric.name: metric for metric in build_metrics(self.names, self.metrics)})

    def give_up(self, unit: Unit, detail: str) -> Unit:
        """The unit of a video that no worker survived: every row has the reason `CRASHED`."""
        return replace(
            unit, rows=tuple(replace(work.row, reason=CRASHED, detail={"message": detail}) for work in unit.work)
        )

    def commit(self, units: Sequence[Unit]) -> Progress:
        """Append tracebacks to the log, then the rows: so no row names a log that lacks its traceback."""
        log = "".join(unit.log for unit in units)
        if log:
            append_lines(self.out / LOG, log.splitlines())
        RowStore(self.out).append(row for unit in units for row in unit.rows)
        progress = Progress(units=len(units))
        for unit in units:
            progress.clips += len(unit.rows)
            progress.kept += sum(row.reason is None for row in unit.rows)
            progress.rejected.update(f"{row.metric}/{row.reason}" for row in unit.rows if row.reason is not None)
            progress.rejected.update(f"{metric}/{reason} (to be tried again)" for metric, reason in unit.postponed)
        return progress

    def tidy(self) -> None:
        """Nothing: all rows are in one file."""


@dataclass(frozen=True, slots=True)
class EvaluationWorker:
    """Computes the rows of one video after the other."""

    metrics: Mapping[str, Metric]

    def run(self, unit: Unit, alive: Alive) -> Unit:
        """The unit with its rows."""
        if unit.lack is not None:
            return replace(unit, rows=tuple(replace(work.row, reason=unit.lack) for work in unit.work))
        assert unit.video is not None, "whoever has no video lacks it"
        video = VideoInput(path=unit.video, sample=unit.sample)
        notes = Notes()
        for control in dict.fromkeys(work.row.control for work in unit.work):
            group = [work for work in unit.work if work.row.control == control]
            with ExitStack() as stack:
                try:
                    shown = video
                    if control:
                        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
                        shown = controls.make(control, video, group[0].donor, Path(folder))
                except Exception as error:  # noqa: BLE001 (one video must not stop the others)
                    notes.failed([work.row for work in group], error)
                    continue
                for work in group:
                    try:
                        notes.rows.append(measure(self.metrics[work.row.metric], shown, work.row))
                    except Exception as error:  # noqa: BLE001 (as above)
                        notes.failed([work.row], error)
                    alive()
        return replace(unit, rows=tuple(notes.rows), postponed=tuple(notes.postponed), log="".join(notes.log))


@dataclass(kw_only=True, slots=True)
class Notes:
    """The results of a video so far."""

    rows: list[Row] = field(default_factory=list)
    postponed: list[tuple[str, str]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def failed(self, rows: Sequence[Row], error: Exception) -> None:
        """Take note of rows whose measurement raised an exception."""
        fault = str(error) if isinstance(error, NotNowError) else machine_fault(error)
        if fault is not None:
            self.postponed.extend((row.metric, fault) for row in rows)
            return
        if is_unexpected(error):
            self.log.append(log_entry(rows[0], error))
        outcome = outcome_of(error, rows[0].sample)
        self.rows.extend(replace(row, reason=outcome.reason, detail=outcome.detail) for row in rows)


def measure(metric: Metric, video: VideoInput, row: Row) -> Row:
    """`row` with what the metric says of the video.

    Raises:
        NotNowError: an endpoint did not answer.
        Exception: a bug of the metric, or values that do not make a row.
    """
    started = time.perf_counter()
    outcome: Outcome = metric(video)
    seconds = round(time.perf_counter() - started, 3)
    measured = replace(row, values=outcome.values, reason=outcome.reason, detail=outcome.detail, seconds=seconds)
    measured.to_json()  # raises here, for this video alone, if the row cannot be written
    return measured
