"""`python -m curation sample`: the sample bucket in a directory of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="where to make it")


def run(options: argparse.Namespace) -> None:
    """Make the sample bucket."""
    from curation.commands.prepare import make_sample  # noqa: PLC0415 (drawing and encoding take a second to import)

    make_sample(Console(markup=False), options.directory)
