"""`python -m curation run`: curate; the same command goes on where it was stopped."""

from __future__ import annotations

import argparse

from curation.commands.options import add_input, add_selection
from infra.command_line import add_engine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_input(parser)
    add_selection(parser)
    parser.add_argument(
        "--allow-local-methods",
        action="store_true",
        help="run where the profile asks for the paper's models and a stage has only a method without weights",
    )
    add_engine(parser)


def run(options: argparse.Namespace) -> None:
    """Curate what is not committed yet, and write the report.

    Raises:
        ConfigError: a profile, an input or a run directory is not what it should be, or the profile asks for models
            that are not there.
        CommandFailedError: Ray ended the run.
    """
    from curation.commands.prepare import prepare  # noqa: PLC0415 (the header reader takes a second)
    from infra.jobs.reach import check_reach, for_nodes  # noqa: PLC0415 (fsspec takes its time to import)

    if options.engine == "ray":
        check_reach({"RUN": options.run, "INPUT": options.input}, shared=options.shared_paths)
        options.run = for_nodes(options.run)
    prepared = prepare(options, allow_local_methods=options.allow_local_methods, engine=options.engine)
    # The options are in order, so it is now worth the seconds that Ray takes to import.
    from curation.commands.curating import curate  # noqa: PLC0415

    curate(prepared, options.engine)
