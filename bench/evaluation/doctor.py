"""`python -m bench doctor`: which metrics can run here, what is missing and how to get it."""

from __future__ import annotations

import argparse

from bench.metrics.metrics_config import metrics_config
from bench.metrics.registry import METRICS, build_metrics


def run(options: argparse.Namespace) -> None:
    """Print a paragraph for each metric.

    Raises:
        ValueError: an option has an impossible value.
    """
    for metric in build_metrics(list(METRICS), metrics_config(options)):
        missing = metric.available()
        state = f"ready (protocol {metric.protocol})" if missing is None else "cannot run here"
        print(f"{metric.name}: {state}")
        print(f"  gives    {', '.join(value.name for value in metric.values)}")
        for need in metric.needs:
            print(f"  needs    {need}")
        if missing is not None:
            print(f"  missing  {missing}")
