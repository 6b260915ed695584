"""`python -m bench report`: write the report and the leaderboard of a directory of rows again.

`evaluate` ends with the same step. This command is for rows that were merged or rated since, for other samples, or for
a report that was lost.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from rich.console import Console

from bench.human_study.questions import METRIC, VALUES
from bench.leaderboard.board import Boards
from bench.leaderboard.text import leaderboard
from bench.metrics.metrics_config import metrics_config
from bench.metrics.registry import METRICS, MetricsConfig, build_metrics
from bench.report.page import ReportInput, write_report
from bench.rows import RowStore
from bench.samples.method_directories import named_directories
from bench.samples.samples import Tell, read_samples, untold
from bench.samples.slices import slices_of
from bench.samples.video_files import video_files
from infra.storage.out_directory import working_in


def run(options: argparse.Namespace) -> None:
    """Write report.html and leaderboard.csv, and print the leaderboard.

    Raises:
        ValueError: there are no rows, or a directory is not what it should be.
    """
    directories = named_directories(options.videos)
    for directory in directories.values():
        if not directory.is_dir():
            raise ValueError(f"no directory of videos at {directory}")
    tell = Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print
    with working_in(options.out):
        write_and_print(options.out, options.samples, directories, metrics_config(options), tell)


def write_and_print(
    out: Path, samples: Path | None, videos: dict[str, Path], config: MetricsConfig, tell: Tell = untold
) -> None:
    """Write the report, then print the leaderboard and the paths of both files to standard output."""
    boards = report(out, samples, videos, config, tell)
    Console(markup=False).print(leaderboard(boards))
    print(f"{out / 'report.html'}\n{out / 'leaderboard.csv'}")


def report(
    out: Path, samples: Path | None, videos: dict[str, Path], config: MetricsConfig, tell: Tell = untold
) -> Boards:
    """Write the report of the rows in `out`; returns its leaderboard.

    Args:
        out: directory of rows.
        samples: directory of the samples that coverage counts, and that give the groups; None for those with rows.
        videos: method → directory.
        config: of the metrics: columns of their protocols come first, and metrics that cannot run here are named.
        tell: given a line for every file of a sample that cannot be used.

    Raises:
        ValueError: there are no rows, or a directory is not what it should be.
    """
    if not out.is_dir():
        raise ValueError(f"no directory of results at {out}")
    rows = RowStore(out).read()
    if not rows:
        raise ValueError(f"{out} holds no rows (*.jsonl); `python -m bench evaluate` writes them")
    known = {row.sample: {} for row in rows} if samples is None else _groups(samples, tell)
    with_rows = {row.method for row in rows if row.sample in known and not row.control}
    metrics = build_metrics(list(METRICS), config)
    lacking = {metric.name: metric.available() for metric in metrics}
    given = ReportInput(
        rows=rows,
        samples=known,
        catalogue={METRIC: VALUES, **{metric.name: metric.values for metric in metrics}},
        protocols={metric.name: metric.protocol for metric in metrics if lacking[metric.name] is None},
        videos=videos,
        missing={name: why for name, why in lacking.items() if why is not None},
        unscored={method: why_unscored(folder, known) for method, folder in videos.items() if method not in with_rows},
    )
    return write_report(out, given)


def why_unscored(folder: Path, samples: Collection[str]) -> str:
    """Why a method has no row at all."""
    files = video_files(folder, samples)
    if not files.found:
        return f"no video of these {len(samples)} samples in {folder}: {files.told_others()}"
    return f"not scored yet: {len(files.found)} of its videos are there, and `python -m bench evaluate` scores them"


def _groups(samples: Path, tell: Tell) -> dict[str, dict[str, str]]:
    return {id_: slices_of(sample) for id_, sample in read_samples(samples, tell).items()}
