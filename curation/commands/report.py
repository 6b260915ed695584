"""`python -m curation report`: RUN/report.html out of what is committed."""

from __future__ import annotations

import argparse

from curation.commands.options import add_decisions
from infra.command_line import add_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_run(parser)
    add_decisions(parser)


def run(options: argparse.Namespace) -> None:
    """Write the report and print its path.

    Raises:
        ConfigError: no run directory.
    """
    from curation.report import write_report  # noqa: PLC0415 (Arrow and Jinja take half a second)

    print(write_report(options.run, decisions=options.decisions))
