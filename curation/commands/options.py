"""Options that several commands share."""

from __future__ import annotations

import argparse

from infra.command_line import add_profile, add_run, whole_number

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


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Which of the videos are taken up, and in which order."""
    parser.add_argument(
        "--limit", metavar="N", type=whole_number("videos", least=1),
        help="at most N videos of those that still have work to do; what is done does not count, nor what cannot be "
        "reached",
    )  # fmt: skip
    parser.add_argument(
        "--shuffle", action="store_true",
        help="in a random order, which stays the same while videos are added, so that a limit takes a fair sample",
    )  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the order of --shuffle (default: 0)")
    parser.add_argument(
        "--slice", metavar="I/N", type=_part,
        help="only the I-th of N parts, counted from 1: a video's name decides which part it is of, so that N machines "
        "or clusters share a bucket, each with a RUN of its own",
    )  # fmt: skip
    parser.add_argument(
        "--retry", metavar="RULE",
        help="also take up again what is in quarantine by this rule (probe/unreadable, worker/crashed, ...), or `all` "
        "of it; the new result replaces the old one, whatever it is (a run ends by naming the rules that there are)",
    )  # fmt: skip


def add_decisions(parser: argparse.ArgumentParser) -> None:
    """Which decisions are meant, where a run has several versions."""
    parser.add_argument(
        "--decisions", metavar="NAME",
        help="the clips as this version of the run decides them (`curation decide`; default: as the run decided them)",
    )  # fmt: skip


def _part(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    numbers = all(each.isascii() and each.isdigit() for each in (index, count))
    if not slash or not numbers or not 1 <= int(index) <= int(count):
        raise argparse.ArgumentTypeError(f"{text!r} is no part: 1/3, 2/3 and 3/3 are the three parts of three")
    return int(index), int(count)


def _input(text: str) -> str:
    # An empty text comes from a variable of the shell that is not set; it would be taken for the working directory.
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: name a directory (. is this one), or leave INPUT out")
    return text
