"""`python -m curation extract`: a clip's files and its first frame, a portrait and speech to make a video from."""

from __future__ import annotations

import argparse
from pathlib import Path

from curation.commands.options import add_decisions
from infra.command_line import add_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("key", nargs="?", metavar="KEY", help="a kept clip's key (default: the first with sound)")
    add_run(parser)
    add_decisions(parser)
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="where to write")


def run(options: argparse.Namespace) -> None:
    """Write the files and print their paths.

    Raises:
        ConfigError: no run directory, or no such clip in it.
    """
    from curation.report.extract import extract  # noqa: PLC0415 (the video reader takes half a second)

    for path in extract(options.run, options.out, options.key, options.decisions):
        print(path)
