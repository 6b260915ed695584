"""Options that several commands share."""

from __future__ import annotations

import argparse

from infra.command_line import add_profile, add_run

INPUT_HELP = (
    "a directory (searched through), a glob, a video, any of these as s3://…, or a .csv/.jsonl/.parquet manifest with "
    "a column of paths; without it, a small sample bucket is made in RUN/bucket, RUN being runs/sample"
)
POOLS = ("human", "general")


def add_input(parser: argparse.ArgumentParser) -> None:
    """What is curated, where to, and how."""
    parser.add_argument("input", nargs="?", metavar="INPUT", type=_input, help=INPUT_HELP)
    add_run(parser, begins=True, profile_option=False)
    parser.add_argument(
        "--pool", choices=POOLS, default=POOLS[0],
        help="general: animals, animation, scenery; faces recorded, not required; audio dropped (default: human)",
    )  # fmt: skip
    parser.add_argument("--path-column", metavar="NAME", help="the manifest's column of paths (default: found by name)")
    add_profile(parser, "stages.sync.min_confidence=0.3")


def add_decisions(parser: argparse.ArgumentParser) -> None:
    """Which decisions are meant, where a run has several versions."""
    parser.add_argument(
        "--decisions", metavar="NAME",
        help="the clips as this version of the run decides them (`curation decide`; default: as the run decided them)",
    )  # fmt: skip


def _input(text: str) -> str:
    # An empty text comes from a variable of the shell that is not set; it would be taken for the working directory.
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: name a directory (. is this one), or leave INPUT out")
    return text
