"""`python -m bench evaluate`: measure methods' videos of Soul-Bench samples, keep rows of results and report them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.evaluation import controls
from bench.evaluation.job import Evaluation, EvaluationJob
from bench.metrics.metric import Metric
from bench.metrics.metrics_config import metrics_config
from bench.metrics.registry import METRICS, build_metrics
from bench.report.command import write_and_print
from bench.rows import RowStore, merge
from bench.samples.method_directories import named_directories
from bench.samples.samples import read_samples, read_videos
from infra.jobs.console import Words
from infra.jobs.workers import Workers
from infra.storage.out_directory import prepare, working_in

EVALUATION = Words(
    doing="evaluating", counts="units", kept="with values", rejected="without", units="videos", clips="rows"
)


def run(options: argparse.Namespace) -> None:
    """Compute the missing rows, write report.html and leaderboard.csv from all rows, and print the leaderboard.

    Raises:
        ValueError: a person's mistake, in one line.
    """
    # Paths and messages of exceptions are shown as they are, even where they look like markup.
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    workers = Workers.from_options(options)
    workers.check_reach({"--samples": options.samples, "--out": options.out})
    samples = read_samples(options.samples, console.print)
    directories = named_directories(options.videos)
    methods = {name: read_videos(path, samples, console.print) for name, path in directories.items()}
    config = metrics_config(options)
    metrics = usable(build_metrics(options.metrics or list(METRICS), config), console, asked=bool(options.metrics))
    plan = Evaluation(
        samples=samples,
        methods=methods,
        metrics=metrics,
        controls=controls.check(options.controls),
        retry=options.retry,
    )
    prepare(options.out)
    merge_results(options.out, options.merge, console)
    units = plan.units(RowStore(options.out))
    console.print(f"{sum(len(unit.work) for unit in units)} rows to compute on {len(units)} videos")
    job = EvaluationJob(
        out=options.out.resolve(),
        metrics=config,
        names=tuple(metric.name for metric in metrics),
        workers=workers,
    )
    with working_in(options.out):
        workers.run(units, job, EVALUATION, console)
        if RowStore(options.out).keys():
            write_and_print(options.out, options.samples, directories, config)
        else:
            console.print("nothing has been scored yet, so there is no report")


def usable(metrics: Sequence[Metric], console: Console, *, asked: bool) -> list[Metric]:
    """The metrics that can run here. The others are printed, or are an error where metrics were asked for.

    Raises:
        ValueError: one that was asked for cannot run.
    """
    able = []
    for metric in metrics:
        missing = metric.available()
        if missing is None:
            able.append(metric)
        elif asked:
            raise ValueError(f"{metric.name} cannot run here: {missing}")
        else:
            console.print(f"without {metric.name}: {missing}")
    return able


def merge_results(into: Path, sources: Sequence[Path], console: Console) -> None:
    """Add other machines' rows, and print how many were added and which conflict."""
    if sources:
        merged = merge(into, sources)
        console.print(f"merged {merged.added} rows; {merged.known} were there already")
        for row in merged.conflicts:
            console.print(f"{row.method}/{row.sample} {row.metric} {row.control}: two values, the first is kept")
