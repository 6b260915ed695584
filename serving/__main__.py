"""The command line: `python -m serving studio | serve`."""

from __future__ import annotations

import sys
from typing import Final

from infra.command_line import Command, CommandLine

DESCRIPTION: Final = """\
Doors to a model: a page for people, an HTTP server for programs.

Exit status: 0 done, 1 broken off, 2 a mistake in what was asked for, 130 interrupted.
"""

COMMANDS: Final = {
    "studio": Command(
        about="a page on which videos are made",
        options="serving.commands.studio_options",
        run="serving.commands.studio",
    ),
    "serve": Command(
        about="an HTTP server that makes videos, on Ray Serve",
        options="serving.commands.serve_options",
        run="serving.commands.serve",
    ),
}

COMMAND_LINE: Final = CommandLine(
    prog="python -m serving", description=DESCRIPTION, commands=COMMANDS, interrupted="", mistakes=ValueError
)
main = COMMAND_LINE.main


if __name__ == "__main__":
    sys.exit(main())
