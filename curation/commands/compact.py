"""`python -m curation compact`: small shards into large ones."""

from __future__ import annotations

import argparse

from infra.command_line import add_engine, add_profile, add_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Merge the small shards of a run into large ones, up to the profile's shards.max_bytes (1 GiB) and "
        "shards.max_samples. A run does so at its end, as far as the small ones fill large ones; the rest waits for "
        "more. Each merge is committed by itself and then its small shards are deleted: broken off at any moment, "
        "nothing is lost, and the same command goes on. Samples and rows stay as they are. Not beside a run on the "
        "same RUN: it takes the directory over."
    )
    add_run(parser, profile_option=False)
    parser.add_argument(
        "--all", action="store_true", dest="everything",
        help="also merge what does not fill a shard, into one that is not full: for a run that will not grow",
    )  # fmt: skip
    add_profile(parser, "shards.max_bytes=500000000")
    add_engine(parser)


def run(options: argparse.Namespace) -> None:
    """Merge what there is to merge.

    Raises:
        ConfigError: no run, a profile that is not what it should be, or a damaged index.
        CommandFailedError: Ray ended it, or merges are left to the next call.
    """
    from rich.console import Console  # noqa: PLC0415

    from curation.commands.compacting import compact  # noqa: PLC0415 (Arrow and Ray take seconds)
    from curation.pipeline import CurationConfig  # noqa: PLC0415
    from curation.shards.clip_table import open_run  # noqa: PLC0415
    from infra.config import load_section  # noqa: PLC0415
    from infra.jobs.reach import check_reach, for_nodes  # noqa: PLC0415

    config = load_section(CurationConfig, options.profile, "curation", options.overrides)
    if options.engine == "ray":
        check_reach({"RUN": options.run}, shared=options.shared_paths)
        options.run = for_nodes(options.run)
    console = Console(markup=False, highlight=False)
    if not compact(console, open_run(options.run), config, options.engine, everything=options.everything):
        more = "" if options.everything else "; --all merges the small ones that do not fill one"
        console.print(f"{options.run}: nothing to merge{more}", soft_wrap=True)
