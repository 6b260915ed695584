"""What the command does: reads the index while it says so, then serves the page or exports it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from curation.browse.collection import Collection, open_collection
from curation.browse.comparison import open_comparison
from curation.browse.export import write_export
from curation.browse.query import Query
from curation.browse.selection import select
from curation.browse.server import application
from curation.pages.server import LOOPBACK, address_of, listen, serve
from curation.report.page import span
from infra.bars import bars


def browse(runs: Sequence[str], decisions: str | None, host: str, port: int) -> None:
    """Serve the page until ctrl-C or SIGTERM.

    Args:
        runs: a run, or two that are compared.
        decisions: a version of the last one, which is meant in its place; one run is compared with its version.
        host: address to listen on.
        port: 0 for any free one.

    Raises:
        ConfigError: no run directory, no such version, a damaged index, or an address that is taken.
        KeyboardInterrupt: the process was interrupted.
    """
    console = _console()
    try:
        with listen(host, port) as taken:
            collection = _read(runs, decisions, console)
            if host not in LOOPBACK:
                console.print(f"listening on {host}: whoever reaches this machine there sees every clip of the run")
            console.print(f"browse  {address_of(host, taken)}/  (ctrl-C ends it)")
            serve(application(collection, host), taken)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the page is closed") from None


def export(runs: Sequence[str], decisions: str | None, directory: Path, filtered: str, most: int) -> None:
    """Write the page with the rows of a query into a folder.

    Args:
        runs: a run, or two that are compared.
        decisions: as `browse` takes them.
        directory: the folder.
        filtered: the query.
        most: rows at most.

    Raises:
        ConfigError: no run directory, no such version, a damaged index, a query that cannot be answered, or a folder
            that is in use.
    """
    console = _console()
    collection = _read(runs, decisions, console)
    query = Query.parse(filtered, collection.table.schema)
    with bars(console) as begin:
        done = write_export(select(collection, query), query, directory, most=most, written=begin("exporting"))
    for line in done.notes:
        console.print(line)
    held = f"{done.num_rows:,} rows, {done.num_clips:,} clips to play, {done.num_bytes / 1e6:,.1f} MB"
    console.print(f"page  {directory / 'index.html'}  ({held})")


def _read(runs: Sequence[str], decisions: str | None, console: Console) -> Collection:
    began_s = time.monotonic()
    with bars(console) as begin:
        if len(runs) == 1 and decisions is None:
            collection = open_collection(runs[0], begin(f"reading {runs[0]}"))
        else:
            collection = open_comparison(runs[0], runs[-1], lambda run: begin(f"reading {run}"), decisions)
    rows, size_mb = collection.table.num_rows, collection.table.nbytes / 1e6
    took = f"read in {span(time.monotonic() - began_s)}, {size_mb:,.0f} MB in memory"
    console.print(f"{rows:,} rows of {' and '.join(run.name for run in collection.runs)}, {took}")
    return collection


def _console() -> Console:
    return Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
