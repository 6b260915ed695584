"""The command line: `python -m infra.monitoring --help` lists its commands."""

from __future__ import annotations

import sys
from typing import Final

from infra.command_line import Command, CommandLine

DESCRIPTION: Final = """\
Watch what runs on this machine: curation, encoding, training, servers.

Exit status: 0 done, 1 broken off, 2 a mistake in what was asked for, 130 interrupted.
"""

COMMANDS: Final = {
    "run": Command(
        about="start Prometheus, and Grafana where there is one, and keep them until ctrl-C",
        options="infra.monitoring.options",
        run="infra.monitoring.keeping",
    ),
    "boards": Command(
        about="write Grafana's boards, and what a Kubernetes cluster takes of boards and rules",
        options="infra.monitoring.writing",
        run="infra.monitoring.writing",
    ),
}

COMMAND_LINE: Final = CommandLine(
    prog="python -m infra.monitoring", description=DESCRIPTION, commands=COMMANDS, interrupted="ended"
)
main = COMMAND_LINE.main


if __name__ == "__main__":
    sys.exit(main())
