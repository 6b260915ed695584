"""`python -m curation browse`: a page on which a run's clips are searched, filtered, compared and played."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from infra.command_line import check_run, port_number, whole_number
from infra.config import ConfigError
from infra.default_run import default_run

PORT: Final = 8600
MOST: Final = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add(
        "--run", metavar="RUN", action="append", dest="runs", default=[],
        help="run directory or URI; given twice, the second is compared with the first "
        "(default: runs/PROFILE; runs/sample where only the sample bucket has been curated)",
    )  # fmt: skip
    add(
        "--decisions", metavar="NAME",
        help="compare the run with this version of it (`curation decide`); of two runs, the second as this version of "
        "it decides",
    )  # fmt: skip
    add("--profile", default="local", help="whose run directory is meant without --run (default: local)")
    add("--port", type=port_number, default=PORT, help=f"0 takes any free one (default: {PORT})")
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine alone)")
    add(
        "--export", metavar="DIR", type=Path,
        help="serve nothing, but write a folder whose index.html opens without a server: the page with clips and "
        "pictures of the chosen rows",
    )  # fmt: skip
    add(
        "--filter", metavar="QUERY", default="",
        help="which rows are exported, in which order: what stands behind the # of the page's address, such as "
        "'state=kept&min.quality_score=0.6&sort=-quality_score'",
    )  # fmt: skip
    add(
        "--most",
        type=whole_number("rows", least=1),
        default=MOST,
        help=f"rows that are exported at most (default: {MOST})",
    )


def run(options: argparse.Namespace) -> None:
    """Read the index, then serve until ctrl-C or SIGTERM, or export.

    Raises:
        ConfigError: no run directory, no such version, a damaged index, an address that is taken, or nothing to export.
    """
    runs = options.runs or [default_run(options.profile, None)]
    if len(runs) > 2:
        raise ConfigError(f"--run was given {len(runs)} times: two runs can be compared")
    for each in runs:
        check_run(each)
    if options.filter and options.export is None:
        raise ConfigError("--filter is for --export; the page has its own")
    from curation.browse.session import browse, export  # noqa: PLC0415 (Arrow and the server take half a second)

    if options.export is not None:
        export(runs, options.decisions, options.export, options.filter, options.most)
    else:
        browse(runs, options.decisions, options.host, options.port)
