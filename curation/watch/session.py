"""What the command does: serves the page, or prints what is known now."""

from __future__ import annotations

import json

from rich.console import Console

from curation.pages.server import LOOPBACK, address_of, listen, serve
from curation.watch.server import application
from curation.watch.statuses import Statuses, read_documents


def watch(run: str, host: str, port: int) -> None:
    """Serve the page until ctrl-C or SIGTERM.

    Args:
        run: the run, in which nothing need have run yet.
        host: address to listen on.
        port: 0 for any free one.

    Raises:
        ConfigError: an address that is taken.
        OSError: the store of the run fails.
        KeyboardInterrupt: the process was interrupted.
    """
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    try:
        with listen(host, port) as taken:
            statuses = Statuses(run)
            jobs = statuses.now()  # a store that cannot be read is told here rather than on the page
            if host not in LOOPBACK:
                console.print(f"listening on {host}: whoever reaches this machine there sees the status of the run")
            if not jobs:
                console.print(f"nothing has run in {run} yet: the page waits for it")
            console.print(f"watch  {address_of(host, taken)}/  (ctrl-C ends it; the run goes on)")
            serve(application(statuses, host), taken)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the page is closed") from None


def print_statuses(run: str) -> None:
    """Print the statuses of a run's jobs as one JSON object, by job.

    Raises:
        OSError: the store of the run fails.
    """
    print(json.dumps(read_documents(run), indent=1))
