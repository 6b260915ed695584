"""Options of `python -m bench fetch-weights`."""

from __future__ import annotations

import argparse

from bench.metrics.options import add_models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "--only", metavar="METRIC", action="append", default=[],
        help="the weights of this metric alone, large ones too; may be repeated",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="say what there is and where it would go; fetch nothing")
    parser.add_argument(
        "--mirror", metavar="URL",
        help="a folder on the web that has the same files, in place of the authors' addresses; the Hub has HF_ENDPOINT",
    )  # fmt: skip
    add_models(parser)
