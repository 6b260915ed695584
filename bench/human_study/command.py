"""`python -m bench human-study make | merge`: a blind page, and what its result files say."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.human_study.config import StudyConfig
from bench.human_study.findings import MetricCorrelation, agreements, metric_correlations, rating_rows
from bench.human_study.kit import Key, make_study
from bench.human_study.merging import Ratings, merge_results
from bench.human_study.questions import METRIC, QUESTIONS, VALUES
from bench.leaderboard.board import build_boards
from bench.leaderboard.text import bounds, leaderboard, number
from bench.metrics.registry import METRICS, MetricsConfig, build_metrics
from bench.pages.results import result_files
from bench.rows import Row, RowStore
from bench.samples.method_directories import named_directories
from bench.samples.samples import read_samples
from bench.stats.bootstrap import Interval
from infra.storage.files import write_atomically
from infra.storage.out_directory import prepare, working_in


def run(options: argparse.Namespace) -> None:
    """Make a study, or merge its results.

    Raises:
        ValueError: an input is not what it should be.
    """
    if options.action == "make":
        config = StudyConfig(seed=options.seed, num_checks=options.checks, per_rater=options.per_rater)
        tell = Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print
        samples, methods = read_samples(options.samples, tell), named_directories(options.videos)
        prepare(options.out)
        with working_in(options.out):
            key = make_study(options.out, samples, methods, config, tell)
        num_videos = sum(trial.method is not None for trial in key.trials)
        print(f"{num_videos} videos and {options.checks} checks: hand out {options.out / 'page'}, keep key.json")
        return
    merge(options.key, options.results, options.out)


def merge(key_path: Path, places: Sequence[Path], out: Path) -> None:
    """Print who counts, agreement, scores and correlations; add rows to `out` and write `human_study.csv` there.

    Raises:
        ValueError: no key, no result files, or none of them counts.
    """
    key = Key.read(key_path)
    ratings = merge_results(result_files(places), key)
    console = Console(markup=False)
    for one in ratings.excluded:
        console.print(Text(f"left out: {one.file}{f' ({one.rater})' if one.rater else ''}: {one.why}"))
    if not ratings.raters:
        raise ValueError("none of the result files counts")
    store = RowStore(out)
    before = store.read() if out.is_dir() else []
    rows = rating_rows(ratings, key)
    known = {row.key for row in before}
    store.append(row for row in rows if row.key not in known)
    catalogue = {metric.name: metric.values for metric in build_metrics(list(METRICS), MetricsConfig())}
    found = metric_correlations(rows, before, catalogue)
    alphas = agreements(ratings)
    _print(console, ratings, rows, alphas, found)
    write_atomically(str(out / "human_study.csv"), _csv(alphas, found).encode())


def _print(
    console: Console,
    ratings: Ratings,
    rows: Sequence[Row],
    alphas: Mapping[str, Interval | None],
    found: Sequence[MetricCorrelation],
) -> None:
    skipped = f", {ratings.num_skipped} videos would not play" if ratings.num_skipped else ""
    console.print(f"{len(ratings.raters)} raters, {len(ratings.ratings)} ratings{skipped}")
    console.print(leaderboard(build_boards(rows, sorted({row.sample for row in rows}), {METRIC: VALUES}, {})))
    table = Table("question", "Krippendorff's α (ordinal)", title="agreement", title_justify="left")
    for question in QUESTIONS:
        alpha = alphas[question.name]
        text = "undefined" if alpha is None else f"{number(alpha.value)} {bounds(alpha)}"
        table.add_row(question.title, Text(text))
    console.print(table)
    if not found:
        console.print("No metric has rows of these videos: nothing to correlate.")
        return
    table = Table("question", "metric", "Spearman's ρ", "Kendall's τ", "videos", title="correlation with metrics")
    for one in found:
        both = (one.correlation.spearman, one.correlation.kendall)
        name = f"{one.metric} {one.value} ({one.protocol})"
        cells = [Text(f"{number(interval.value)} {bounds(interval)}") for interval in both]
        table.add_row(one.question, Text(name), *cells, str(one.correlation.num))
    console.print(table)


def _csv(alphas: Mapping[str, Interval | None], found: Sequence[MetricCorrelation]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("question", "statistic", "metric", "value", "protocol", "estimate", "low", "high", "num"))
    for name, alpha in alphas.items():
        if alpha is not None:
            writer.writerow((name, "alpha", "", "", "", alpha.value, alpha.low, alpha.high, alpha.num))
    for one in found:
        for statistic, interval in (("spearman", one.correlation.spearman), ("kendall", one.correlation.kendall)):
            fields = (one.metric, one.value, one.protocol, interval.value, interval.low, interval.high, interval.num)
            writer.writerow((one.question, statistic, *fields))
    return text.getvalue()
