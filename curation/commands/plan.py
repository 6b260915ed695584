"""`python -m curation plan`: what a run would do, by which methods, and how long it would take."""

from __future__ import annotations

import argparse

from curation.commands.options import add_input, add_selection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_input(parser)
    add_selection(parser)
    parser.epilog = (
        "Nothing is curated. What is read of headers is kept in RUN/plan, so that neither `plan` nor `run` reads it "
        "again; without INPUT, the sample bucket is made."
    )


def run(options: argparse.Namespace) -> None:
    """Print the plan; nothing is processed, but headers are kept, and without INPUT the sample bucket is made.

    Raises:
        ConfigError: a profile, an input or a run directory is not what it should be.
    """
    from curation.commands.estimate import tell_cost  # noqa: PLC0415 (the stages take a second to import)
    from curation.commands.prepare import prepare  # noqa: PLC0415

    tell_cost(prepare(options, allow_local_methods=None))
