"""Options of `python -m bench samples`."""

from __future__ import annotations

import argparse
from pathlib import Path

from infra.command_line import add_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Clips with sound, one of every source before a second of any, first those of the sources that training "
        "holds out for validation. Run again, it adds what is new; samples keep their numbers."
    )
    add = parser.add_argument
    add_run(parser)
    add("--decisions", metavar="NAME", help="clips that this version of the run keeps (default: that the run keeps)")
    add("--out", type=Path, required=True, metavar="DIR", help="where <id>.json, .png, .wav and real/<id>.mp4 go")
    add("--most", type=int, metavar="N", help="no more than N samples in all (default: every clip with sound)")
