"""`python -m curation serve-models`: the servers of models that a profile's stages ask over HTTP."""

from __future__ import annotations

import argparse
from pathlib import Path

from infra.command_line import add_profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_profile(parser, "vllm.captions.num_gpus=2")
    parser.add_argument(
        "--only", metavar="NAME", action="append", default=[],
        help="start this server of the profile, not all of them; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--on-cluster", action="store_true",
        help="place them on the Ray cluster at RAY_ADDRESS; clients ask http://HEAD:8000/NAME",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Serve until ctrl-C or SIGTERM.

    Raises:
        ConfigError: a mistake in the profile, or an address that is taken.
        CommandFailedError: a server dies again and again before it answers.
    """
    from infra.config import load_section  # noqa: PLC0415 (Ray takes seconds to import)
    from infra.jobs.cluster import interrupted_once  # noqa: PLC0415
    from infra.servers.config import ServersConfig  # noqa: PLC0415

    config = load_section(ServersConfig, options.profile, "servers", options.overrides)
    servers = config.chosen(options.only)
    try:
        if options.on_cluster:
            from infra.servers.cluster import keep_on_cluster  # noqa: PLC0415 (Ray Serve is not installed everywhere)

            keep_on_cluster(servers)
        else:
            from infra.servers.gpus import divide, visible_gpus  # noqa: PLC0415
            from infra.servers.supervisor import keep  # noqa: PLC0415

            gpus = divide({name: server.num_gpus for name, server in servers.items()}, visible_gpus())
            with interrupted_once():
                keep(servers, logs=Path(config.logs), gpus=gpus)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the servers are ended") from None
