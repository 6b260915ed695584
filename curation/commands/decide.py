"""`python -m curation decide`: other thresholds on the scores that a run has stored."""

from __future__ import annotations

import argparse

from infra.command_line import add_run, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_run(parser)
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE",
        help="a threshold, e.g. stages.quality.min_score=60; may be repeated; all others stay as the run had them",
    )  # fmt: skip
    parser.add_argument(
        "--settings", metavar="PROFILE",
        help="take all thresholds from this profile (a name in infra/profiles or a YAML file), not from the run",
    )  # fmt: skip
    parser.add_argument(
        "--apply", metavar="NAME",
        help="write what is decided as a version of the index, RUN/decisions/NAME; the run's own stays as it is",
    )  # fmt: skip
    parser.add_argument(
        "--list", action="store_true", dest="is_list", help="show the thresholds, and the versions that the run has"
    )
    parser.add_argument(
        "--examples", type=whole_number("keys"), default=3, metavar="N", help="keys shown of each change (default: 3)"
    )


def run(options: argparse.Namespace) -> None:
    """Print what would change; with `--apply`, write it as a version.

    Raises:
        ConfigError: no run, settings that are no thresholds, or a name that is taken.
    """
    from rich.console import Console  # noqa: PLC0415

    from curation.commands import deciding  # noqa: PLC0415 (the stages take a second to import)

    console = Console(markup=False, highlight=False)
    if options.is_list:
        deciding.list_decisions(console, options.run)
    else:
        deciding.decide(console, options)
