"""Options of `python -m bench doctor`."""

from __future__ import annotations

import argparse

from bench.metrics.options import add_metric_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_metric_options(parser)
