"""`python -m curation deduplicate`: clips that show the same seconds as another, and a version without them."""

from __future__ import annotations

import argparse

from infra.command_line import add_run, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Find kept clips that show the same seconds as another clip of the run: the same file, or a copy that was "
        "re-encoded, scaled, cropped, framed, or begins up to a second earlier or later. The index holds all that is "
        "needed; no video is read. Clips that follow one another in one file are never duplicates, nor are mirrored "
        "copies, nor a crop and the clip that curation cut it from. Of clips that are the same, the one with the "
        "largest picture stays; then the best quality score, sound, length, and the key decide. A clip is left out "
        "only for one that stays and that it is itself a copy of."
    )
    add_run(parser)
    parser.add_argument(
        "--apply", metavar="NAME",
        help="write a version of the index without the duplicates, RUN/decisions/NAME; the run's own stays as it is",
    )  # fmt: skip
    parser.add_argument(
        "--decisions", metavar="BASE",
        help="among the clips that this version of the run keeps (`curation decide`; default: that the run keeps)",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=_fraction, default=0.4, metavar="D",
        help="largest distance of near duplicates, 0 to 1: one minus the correlation of how both go in time "
        "(default: 0.4; less leaves fewer clips out)",
    )  # fmt: skip
    parser.add_argument(
        "--max-shift", type=_seconds, default=1.5, metavar="S",
        help="how much later one copy may begin than the other, in seconds (default: 1.5)",
    )  # fmt: skip
    parser.add_argument(
        "--clusters",
        type=whole_number("groups"),
        default=10,
        metavar="N",
        help="the N largest groups are shown (default: 10)",
    )


def run(options: argparse.Namespace) -> None:
    """Print what would be left out; with `--apply`, write it as a version.

    Raises:
        ConfigError: no run, no such version, a damaged index, or a name that is taken.
    """
    from rich.console import Console  # noqa: PLC0415

    from curation.commands import deduplicating  # noqa: PLC0415 (Arrow takes half a second)

    deduplicating.deduplicate(Console(markup=False, highlight=False), options)


def _fraction(text: str) -> float:
    number = _number(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return number


def _seconds(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 10:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds from 0 to 10")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
