"""Which rows are missing, and computing them: in this process or on Ray, with curation's engine.

A unit is one video with all that is missing of it, so that it is decoded and its face is followed once.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.evaluation import controls
from bench.metrics.metric import Input, Metric, NoValueError, Outcome, VideoInput
from bench.metrics.picture import file_hash
from bench.metrics.registry import MetricsConfig, build_metrics
from bench.rows import Row, RowStore
from bench.samples import Sample
from bench.served.endpoint import NotNowError
from bench.workers import Workers
from curation.engine import Alive
from curation.media import MediaError
from curation.placement import ExecutionConfig
from curation.telemetry import Progress

MISSING = "missing"
"""Reason of a row whose method made no video of the sample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One row to compute."""

    row: Row
    """Its key; the values are not measured yet."""
    donor: Sample | None = None
    """Whose sound or image the control takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """One method's video of one sample."""

    method: str
    sample: Sample
    video: Path | None
    work: tuple[Work, ...]
    rows: tuple[Row, ...] = ()
    """What has been computed."""
    postponed: tuple[tuple[str, str], ...] = ()
    """Metric and reason of rows that could not be computed now and will be tried again by the next run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to evaluate."""

    samples: Mapping[str, Sample]
    methods: Mapping[str, Mapping[str, Path | None]]
    """Videos by method and sample."""
    metrics: Sequence[Metric]
    controls: Sequence[str] = ()

    def units(self, store: RowStore) -> list[Unit]:
        """What `store` lacks, methods and samples in order.

        Raises:
            ValueError: a control cannot be made of these samples.
        """
        known = store.keys()
        given = {control: controls.donors(self.samples, control) for control in self.controls}
        units = []
        for method, videos in self.methods.items():
            for id_, sample in self.samples.items():
                unit = Unit(method=method, sample=sample, video=videos.get(id_), work=())
                wanted = [
                    self._work(unit, metric, control, given.get(control, {}).get(id_))
                    for control in ("", *self.controls)
                    for metric in self.metrics
                    if not control or (unit.video is not None and controls.touches(control, metric))
                ]
                work = tuple(item for item in wanted if item.row.key not in known)
                if work:
                    units.append(replace(unit, work=work))
        return units

    def _work(self, unit: Unit, metric: Metric, control: str, donor: Sample | None) -> Work:
        row = Row(
            method=unit.method,
            sample=unit.sample.id,
            control=control,
            metric=metric.name,
            protocol=metric.protocol,
            video="" if unit.video is None else file_hash(unit.video),
            inputs=inputs_hash(metric, unit, control, donor),
            reason="not measured",
        )
        return Work(row=row, donor=donor)


def inputs_hash(metric: Metric, unit: Unit, control: str, donor: Sample | None) -> str:
    """Sixteen hex digits of what the metric uses beside the video; empty when that is nothing."""
    used: dict[str, str] = {}
    if Input.AUDIO in metric.inputs and control == controls.SHUFFLED:
        assert donor is not None, "every sample has a donor"
        used["audio"] = "" if donor.audio is None else file_hash(donor.audio)
    if Input.IMAGE in metric.inputs:
        image = donor.image if control == controls.OTHER_IDENTITY and donor is not None else unit.sample.image
        used["image"] = "" if image is None else file_hash(image)
    if Input.PROMPT in metric.inputs:
        used["prompt"] = unit.sample.prompt
    return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()[:16] if used else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationJob:
    """What `python -m bench evaluate` runs."""

    out: Path
    """Where the rows go; on a cluster every machine must reach it."""
    metrics: MetricsConfig
    names: tuple[str, ...]
    """Metrics to load."""
    workers: Workers = Workers()
    """Who computes."""
    unit_timeout_s: float = 3600.0
    """A video that keeps its worker this long without a row is given up after three attempts."""

    @property
    def name(self) -> str:
        """The command."""
        return "bench-evaluate"

    @property
    def execution(self) -> ExecutionConfig:
        """Placement and limits."""
        return self.workers.execution(self.unit_timeout_s)

    @property
    def stages(self) -> tuple[str, ...]:
        """One: all metrics share an actor, and the video's faces with it."""
        return ("evaluate",)

    @property
    def units_per_commit(self) -> int:
        """Every video's rows are written when they are there."""
        return 1

    def open(self) -> None:
        """Nothing to clear: torn lines are cut off by the next writer."""

    def key(self, unit: Unit) -> str:
        """Method and sample."""
        return f"{unit.method}/{unit.sample.id}"

    def worker(self, stages: Sequence[str], *, debug: bool) -> EvaluationWorker:  # noqa: ARG002 (one stage; bugs are let out)
        """The metrics, loading their weights when the first video comes."""
        return EvaluationWorker({metric.name: metric for metric in build_metrics(self.names, self.metrics)})

    def give_up(self, unit: Unit, detail: str) -> Unit:
        """Every row of a video that no worker survived says so."""
        return replace(
            unit, rows=tuple(replace(work.row, reason="crashed", detail={"message": detail}) for work in unit.work)
        )

    def commit(self, units: Sequence[Unit]) -> Progress:
        """Append the rows."""
        RowStore(self.out).append(row for unit in units for row in unit.rows)
        progress = Progress(units=len(units))
        for unit in units:
            progress.clips += len(unit.rows)
            progress.kept += sum(row.reason is None for row in unit.rows)
            progress.rejected.update(f"{row.metric}/{row.reason}" for row in unit.rows if row.reason is not None)
            progress.rejected.update(f"{metric}/{reason} (to be tried again)" for metric, reason in unit.postponed)
        return progress


@dataclass(frozen=True, slots=True)
class EvaluationWorker:
    """Computes the rows of one video after the other."""

    metrics: Mapping[str, Metric]

    def run(self, unit: Unit, alive: Alive) -> Unit:
        """The unit with its rows."""
        if unit.video is None:
            return replace(unit, rows=tuple(replace(work.row, reason=MISSING) for work in unit.work))
        video = VideoInput(path=unit.video, sample=unit.sample)
        rows: list[Row] = []
        postponed: list[tuple[str, str]] = []
        for control in dict.fromkeys(work.row.control for work in unit.work):
            group = [work for work in unit.work if work.row.control == control]
            with tempfile.TemporaryDirectory() as folder:
                try:
                    shown = controls.make(control, video, group[0].donor, Path(folder)) if control else video
                except (NoValueError, MediaError) as error:
                    reason = error.reason if isinstance(error, NoValueError) else error.rule.replace("_", " ")
                    rows.extend(replace(work.row, reason=reason) for work in group)
                    continue
                for work in group:
                    try:
                        rows.append(measure(self.metrics[work.row.metric], shown, work.row))
                    except NotNowError as error:
                        postponed.append((work.row.metric, str(error)))
                    alive()
        return replace(unit, rows=tuple(rows), postponed=tuple(postponed))


def measure(metric: Metric, video: VideoInput, row: Row) -> Row:
    """`row` with what the metric says of the video.

    Raises:
        NotNowError: an endpoint did not answer.
    """
    started = time.perf_counter()
    outcome: Outcome = metric(video)
    seconds = round(time.perf_counter() - started, 3)
    return replace(row, values=outcome.values, reason=outcome.reason, detail=outcome.detail, seconds=seconds)
