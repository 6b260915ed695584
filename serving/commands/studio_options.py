"""Options of `python -m serving studio`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from model.generation.options import add_acceleration_options, add_model_options
from model.weights.source import SHIPPED

FOLDER: Final = Path("runs", "studio")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--port", type=int, default=7860, help="of this machine, which alone can open the page (default: %(default)s)")
    add("--out", type=Path, default=FOLDER, help="folder that keeps what was made (default: %(default)s)")
    add_model_options(parser, default=SHIPPED)
    add_acceleration_options(parser, compile_default="none")
