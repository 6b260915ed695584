"""`python -m bench doctor`: which metrics can run here, what is missing and how to get it."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from bench.metric_options import add_metric_options, metrics_config
from bench.metrics.registry import METRICS, build_metrics


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_metric_options(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    table = Table("metric", "gives", "can run", "what is missing, and how to get it")
    for metric in build_metrics(list(METRICS), metrics_config(options)):
        missing = metric.available()
        values = ", ".join(value.name for value in metric.values)
        table.add_row(metric.name, values, "yes" if missing is None else "no", missing or "")
    Console().print(table)
