"""`python -m curation show`: all that is known of one clip or source."""

from __future__ import annotations

import argparse

from rich.console import Console

from curation.commands.options import add_decisions
from infra.command_line import add_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("key", metavar="KEY", help="a clip's or a source's key, as in the index")
    add_run(parser)
    add_decisions(parser)


def run(options: argparse.Namespace) -> None:
    """Print the record.

    Raises:
        ConfigError: no run directory, or no such key.
    """
    from curation.report.show import show  # noqa: PLC0415 (Arrow takes half a second)

    Console(markup=False).print(show(options.run, options.key, options.decisions))
