"""Options of `python -m bench human-study make | merge`."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.human_study.config import StudyConfig
from infra.command_line import existing_directory, existing_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    actions = parser.add_subparsers(required=True, dest="action", metavar="make | merge")
    make = actions.add_parser("make", help="write a blind page (OUT/page) and its key (OUT/key.json, to be kept)")
    make.add_argument("--samples", type=existing_directory, required=True, help="directory of samples")
    make.add_argument("--videos", nargs="+", required=True, metavar="NAME=DIR", help="the methods to compare")
    make.add_argument("--out", type=Path, required=True)
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--checks", type=int, default=StudyConfig().num_checks, help="attention checks")
    make.add_argument("--per-rater", type=int, help="videos that each rater is shown (default: all)")
    merge = actions.add_parser("merge", help="agreement, scores and correlations of result files")
    merge.add_argument("--key", type=existing_file, required=True, help="key.json of the study")
    merge.add_argument("--results", type=Path, nargs="+", required=True, help="result files, or directories of them")
    merge.add_argument("--out", type=Path, required=True, help="directory of rows: the ratings join them")
