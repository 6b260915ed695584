"""Evaluations of the tiny Soul-Bench, and their results."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from bench.evaluation.command import EVALUATION
from bench.evaluation.job import Evaluation, EvaluationJob
from bench.leaderboard.text import leaderboard
from bench.metrics.av_align import AvAlignConfig
from bench.metrics.registry import METRICS, MetricsConfig, build_metrics
from bench.report.page import ReportInput, write_report
from bench.rows import Row, RowStore, comparable
from bench.samples.samples import Sample, read_samples, read_videos
from infra.jobs.workers import Workers

CHEAP = MetricsConfig(av_align=AvAlignConfig(short_edge=96))
"""Motion at a sixteenth of the pixels that it is measured at by default."""


def measure_cheaply(patch: pytest.MonkeyPatch) -> None:
    """Let the command line measure motion at so few pixels, except at a video's native size."""
    patch.setattr("bench.metrics.metrics_config.AvAlignConfig", partial(AvAlignConfig, short_edge=96))


def table(out: Path) -> list[Row]:
    return sorted((comparable(row) for row in RowStore(out).read()), key=lambda row: row.key)


def rendered(out: Path, samples: dict[str, Sample], rows: Iterable[Row] | None = None) -> str:
    """The leaderboard as people get it, in the terminal and as CSV. `rows`, if given, are put into `out` first."""
    if rows is not None:
        RowStore(out).append(rows)
    catalogue = {metric.name: metric.values for metric in build_metrics(list(METRICS), MetricsConfig())}
    groups: dict[str, dict[str, str]] = {id_: {} for id_ in samples}
    boards = write_report(out, ReportInput(rows=RowStore(out).read(), samples=groups, catalogue=catalogue))
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(leaderboard(boards))
    return console.export_text() + (out / "leaderboard.csv").read_text()


class Bench:
    """One directory of samples and one method, evaluated with cheap metrics."""

    def __init__(self, samples_dir: Path, videos_dir: Path) -> None:
        self.samples, self.videos_dir = read_samples(samples_dir), videos_dir

    def plan(self, *names: str, controls: tuple[str, ...] = (), methods: tuple[str, ...] = ("ours",)) -> Evaluation:
        videos = read_videos(self.videos_dir, self.samples)
        metrics = build_metrics(names, CHEAP)
        return Evaluation(
            samples=self.samples, methods=dict.fromkeys(methods, videos), metrics=metrics, controls=controls
        )

    def evaluate(self, out: Path, *names: str, controls: tuple[str, ...] = (), ray: int = 0) -> int:
        """Returns how many rows were missing."""
        units = self.plan(*names, controls=controls).units(RowStore(out))
        workers = Workers(on_ray=ray > 0, actors=ray or None, cpus=0.5)
        job = EvaluationJob(out=out, metrics=CHEAP, names=names, workers=workers)
        workers.run(units, job, EVALUATION, Console(file=io.StringIO()))
        return sum(len(unit.work) for unit in units)
