"""The command line: `python -m curation --help` lists its commands."""

from __future__ import annotations

import sys
from typing import Final

from infra.command_line import Command, CommandLine

DESCRIPTION: Final = """\
Turn raw human video into Soul-1M: annotated WebDataset shards.

Exit status: 0 done, 1 broken off, 2 a mistake in what was asked for, 130 interrupted.
"""

ABOUT: Final = {
    "plan": "say what a run would do and how long it would take, without doing it",
    "doctor": "say whether a profile can run here: environments, packages, weights, servers",
    "run": "curate; goes on where an earlier run on the same RUN stopped",
    "watch": "a page of a run's progress while it goes on: how far, how fast, what is rejected, what holds it up",
    "decide": "apply other thresholds to the stored scores: what would change, and a version of the index",
    "deduplicate": "find clips that show the same seconds as another, and leave them out in a version of the index",
    "compact": "merge a run's small shards into large ones",
    "report": "write RUN/report.html from what is committed",
    "show": "print the whole record of one clip or source",
    "logs": "what became of a source, and where; without one, what went wrong in a run",
    "browse": "a page on which clips are searched, filtered, compared between runs, and played",
    "extract": "write a clip's files and its first frame: a portrait and speech to use",
    "encode": "turn curated shards into what training reads; adds what is new",
    "push": "a run as a data set with its card, to the Hugging Face Hub or into a folder",
    "sample": "make the sample bucket",
    "serve-models": "start the servers of models that a profile asks, and keep them",
    "tiny-models": "make random tiny weights of every production model",
}
APART: Final = {"encode": "curation.encoding.options", "serve-models": "curation.commands.serve_models"}
"""Commands whose module is not `curation.commands.NAME`: encoding alone may use the model."""
COMMANDS: Final = {
    name: Command(about=about, options=module, run=module)
    for name, about in ABOUT.items()
    for module in [APART.get(name, f"curation.commands.{name.replace('-', '_')}")]
}


COMMAND_LINE: Final = CommandLine(
    prog="python -m curation",
    description=DESCRIPTION,
    commands=COMMANDS,
    interrupted="the same command goes on from what is committed",
)
main = COMMAND_LINE.main


if __name__ == "__main__":
    sys.exit(main())
