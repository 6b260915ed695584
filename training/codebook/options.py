"""Options of `python -m training codebook`; their defaults are those of `CodebookConfig`."""

from __future__ import annotations

import argparse

from infra.command_line import add_run, existing_directory
from training.codebook.config import CodebookConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    defaults = CodebookConfig()
    add = parser.add_argument
    add_run(parser)
    add("--stages", nargs="+", default=[], metavar="STAGE", help="encoded stages to read (default: all there are)")
    add("--decisions", metavar="NAME", help="read what was encoded of this version of the run (default: of the run)")
    add("--centroids", type=int, default=defaults.centroids, help="fewer if there are too few vectors (default: 40000)")
    add(
        "--iterations", type=int, default=defaults.iterations,
        help="of K-Means at most: the first that gains nothing is the last (default: %(default)s)",
    )  # fmt: skip
    add("--seed", type=int, default=defaults.seed, help="default: %(default)s")
    add("--model", type=existing_directory, metavar="DIR", help="a model directory to put the codebook into as well")
