"""Options of `python -m bench report`."""

from __future__ import annotations

import argparse

from bench.metrics.options import add_metric_options
from infra.command_line import existing_directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "--out",
        type=existing_directory,
        required=True,
        metavar="DIR",
        help="directory of rows (*.jsonl); the report goes there",
    )
    parser.add_argument(
        "--samples",
        type=existing_directory,
        metavar="DIR",
        help="directory of samples; without it, those that have rows",
    )
    parser.add_argument(
        "--videos",
        nargs="+",
        default=[],
        metavar="NAME=DIR",
        help="where each method's videos lie, for the players",
    )
    add_metric_options(parser)
