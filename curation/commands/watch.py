"""`python -m curation watch`: a page on which a run's progress is seen while it goes on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from infra.command_line import add_run, check_run, port_number

PORT: Final = 8601
"""Beside that of `browse`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_run(parser, must_exist=False)
    add = parser.add_argument
    add("--port", type=port_number, default=PORT, help=f"0 takes any free one (default: {PORT})")
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine alone)")
    add(
        "--json",
        action="store_true",
        help="serve nothing, but print the statuses of the run's jobs once, as one JSON object by job",
    )


def run(options: argparse.Namespace) -> None:
    """Serve the page until ctrl-C or SIGTERM, or print what is known now.

    The page may be opened before the run begins, and so before there is a directory.

    Raises:
        ConfigError: no run directory to print the statuses of, a file in its place, or an address that is taken.
        OSError: the store of the run fails.
    """
    from curation.watch.session import print_statuses, watch  # noqa: PLC0415 (the server takes half a second)

    if options.json or Path(options.run).exists():
        check_run(options.run)
    if options.json:
        print_statuses(options.run)
    else:
        watch(options.run, options.host, options.port)
