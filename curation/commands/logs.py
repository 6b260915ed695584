"""`python -m curation logs`: what became of a unit, and where; or what went wrong in a run's runs."""

from __future__ import annotations

import argparse
import json

from rich.console import Console

from infra.command_line import add_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "key", nargs="?", metavar="KEY",
        help="a source's or a clip's key, as in the index, or the shard that is encoded; without it, when runs began "
        "and ended, which nodes came and went, and everything that went wrong",
    )  # fmt: skip
    add_run(parser)
    parser.add_argument("--json", action="store_true", help="the lines as they are kept, one JSON object each")


def run(options: argparse.Namespace) -> None:
    """Print the lines, the oldest first.

    Raises:
        ConfigError: nothing is logged in the run, or nothing about such a key.
        OSError: the store of the run fails.
    """
    from infra.config import ConfigError  # noqa: PLC0415 (for --help it is not needed)
    from infra.jobs.run_log import as_told, lines_about, lines_about_clip, problems  # noqa: PLC0415 (imports fsspec)
    from infra.storage.files import store_errors  # noqa: PLC0415 (imports fsspec)

    with store_errors():
        if options.key is None:
            lines = list(problems(options.run))
        else:
            lines = list(lines_about(options.run, options.key)) or list(lines_about_clip(options.run, options.key))
    if not lines:
        what = "" if options.key is None else f" about {options.key}"
        raise ConfigError(f"nothing is logged{what} in {options.run}")
    console = Console(markup=False, soft_wrap=True, highlight=False)
    for line in lines:
        if options.json:
            print(json.dumps(line, ensure_ascii=False))
        else:
            console.print(as_told(line))
