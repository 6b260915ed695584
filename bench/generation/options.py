"""Options of `python -m bench generate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from infra.command_line import existing_directory
from infra.jobs.worker_options import add_worker_options
from model.generation.options import add_model_options, add_sampling_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Run again, it makes what is missing and what was made from another model, sampling, image, sound or prompt."
    )
    add = parser.add_argument
    add("--samples", type=existing_directory, required=True, metavar="DIR", help="<id>.json, <id>.png, <id>.wav")
    add("--out", type=Path, required=True, metavar="DIR", help="where <id>.mp4 are written: a method of `evaluate`")
    add("--most", type=int, metavar="N", help="only the first N samples by id")
    add_model_options(parser)
    add_sampling_options(parser)
    add_worker_options(parser)
