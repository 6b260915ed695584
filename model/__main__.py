"""The command line: `python -m model convert | info | generate`."""

import os
import sys
from typing import Final

from infra.command_line import Command, CommandLine

DESCRIPTION: Final = """\
Soul makes a video of any length out of one portrait, speech and a prompt.

Several GPUs share every clip of a video when `torchrun` starts `generate`:
  torchrun --nproc-per-node=8 -m -- model generate --model DIR --image FILE --audio FILE ...

Exit status: 0 done, 1 broken off, 2 a mistake in what was asked for, 130 interrupted.
"""

COMMANDS: Final = {
    "convert": Command(
        about="Wan2.2 (directory or Hub id) -> model directory",
        options="model.commands.convert_options",
        run="model.commands.convert",
    ),
    "info": Command(
        about="parameters, operations and memory of a model at a size and length",
        options="model.commands.info_options",
        run="model.commands.info",
    ),
    "generate": Command(
        about="portrait + speech + prompt -> mp4, written clip by clip",
        options="model.commands.generate_options",
        run="model.commands.generate",
    ),
}


def _is_further() -> bool:
    """Whether another of the processes that share a video talks to people."""
    return os.environ.get("RANK", "0") != "0"


COMMAND_LINE: Final = CommandLine(
    prog="python -m model",
    description=DESCRIPTION,
    commands=COMMANDS,
    interrupted="nothing is kept; the same command begins anew",
    mistakes=ValueError,
    quiet=_is_further,
)
main = COMMAND_LINE.main


if __name__ == "__main__":
    sys.exit(main())
