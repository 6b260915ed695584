"""Options of `python -m bench evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.metrics.options import add_metric_options
from infra.command_line import existing_directory
from infra.jobs.worker_options import add_worker_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "--samples", type=existing_directory, required=True, metavar="DIR", help="<id>.json, <id>.png, <id>.wav"
    )
    parser.add_argument(
        "--videos",
        nargs="+",
        required=True,
        metavar="NAME=DIR",
        help="a method and its videos, <id>.mp4, .mov, .webm, …; any number",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="where <method>.jsonl, report.html and leaderboard.csv go",
    )
    parser.add_argument("--metrics", nargs="+", metavar="NAME", help="see `doctor` (default: what can run)")
    parser.add_argument(
        "--controls",
        nargs="+",
        default=[],
        metavar="NAME",
        help="inputs made wrong on purpose, such as shuffled-audio or frozen; `all` for all of them",
    )
    parser.add_argument(
        "--retry", action="store_true", help="compute again what ended in an internal error or a crashed worker"
    )
    parser.add_argument("--merge", nargs="+", type=Path, default=[], metavar="DIR", help="results to add beforehand")
    add_worker_options(parser)
    add_metric_options(parser)
