"""`python -m bench evaluate`: measure methods' videos of Soul-Bench samples, keep rows of results and report them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench import controls
from bench.evaluate import EvaluationJob, Plan, Unit
from bench.method_directories import named_directories
from bench.metric_options import add_metric_options, metrics_config
from bench.metrics.metric import Metric
from bench.metrics.registry import METRICS, build_metrics
from bench.report.command import write_and_print
from bench.rows import RowStore, merge
from bench.samples import read_samples, read_videos
from curation.console import Words, announced_ray, display
from curation.engine import run_inline, run_on_ray

EVALUATION = Words(doing="evaluating", counts="units", kept="rows with values", rejected="without")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--samples", type=Path, required=True, metavar="DIR", help="<id>.json, <id>.png, <id>.wav")
    parser.add_argument(
        "--videos", nargs="+", required=True, metavar="NAME=DIR", help="a method and its videos, <id>.mp4; any number"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="where <method>.jsonl, report.html and leaderboard.csv go",
    )
    parser.add_argument("--metrics", nargs="+", metavar="NAME", help=f"of {', '.join(METRICS)}; default: what can run")
    parser.add_argument(
        "--controls", nargs="+", default=[], metavar="NAME", help=f"of {', '.join(controls.CONTROLS)}; or all"
    )
    parser.add_argument("--merge", nargs="+", type=Path, default=[], metavar="DIR", help="results to add beforehand")
    parser.add_argument("--ray", action="store_true", help="on a Ray cluster: RAY_ADDRESS's, or one started here")
    parser.add_argument("--workers", type=int, metavar="N", help="with --ray: actors; default one a CPU")
    parser.add_argument(
        "--worker-cpus", type=float, default=0.8, metavar="N", help="with --ray: CPUs an actor reserves"
    )
    parser.add_argument(
        "--worker-gpus", type=float, default=0.0, metavar="N", help="with --ray: GPUs an actor reserves"
    )
    add_metric_options(parser)


def run(options: argparse.Namespace) -> None:
    """Compute what is missing; write report.html and leaderboard.csv of all there is, and print the leaderboard.

    Raises:
        ValueError: a person's mistake, in one line.
    """
    console = Console(stderr=True)
    merge_results(options.out, options.merge, console)
    samples = read_samples(options.samples)
    directories = named_directories(options.videos)
    methods = {name: read_videos(path, samples) for name, path in directories.items()}
    config = metrics_config(options)
    metrics = usable(build_metrics(options.metrics or list(METRICS), config), console, asked=bool(options.metrics))
    plan = Plan(samples=samples, methods=methods, metrics=metrics, controls=controls.check(options.controls))
    units = plan.units(RowStore(options.out))
    console.print(f"{sum(len(unit.work) for unit in units)} rows to compute on {len(units)} videos")
    job = EvaluationJob(
        out=options.out.resolve(),
        metrics=config,
        names=tuple(metric.name for metric in metrics),
        workers=options.workers,
        cpus_per_worker=options.worker_cpus,
        gpus_per_worker=options.worker_gpus,
    )
    _compute(units, job, console, on_ray=options.ray)
    if RowStore(options.out).keys():
        write_and_print(options.out, options.samples, directories, config)
    else:
        console.print("nothing has been scored yet, so there is no report")


def usable(metrics: Sequence[Metric], console: Console, *, asked: bool) -> list[Metric]:
    """The metrics that can run here; the others are named, and are an error when they were asked for.

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
            console.print(f"without {metric.name}: {missing}", soft_wrap=True, highlight=False)
    return able


def merge_results(into: Path, sources: Sequence[Path], console: Console) -> None:
    """Add other machines' rows, and say what came of it."""
    if sources:
        merged = merge(into, sources)
        console.print(f"merged {merged.added} rows; {merged.known} were there already")
        for row in merged.conflicts:
            console.print(f"{row.method}/{row.sample} {row.metric} {row.control}: two values, the first is kept")


def _compute(units: Sequence[Unit], job: EvaluationJob, console: Console, *, on_ray: bool) -> None:
    with display(console, len(units), EVALUATION) as drawing:
        if on_ray and units:
            with announced_ray(console):
                run_on_ray(units, job, drawing.show)
        else:
            run_inline(units, job, drawing.show)
