"""Options of `python -m curation encode`; its work is in `command`."""

from __future__ import annotations

import argparse

from infra.command_line import add_engine, add_profile, add_run
from model.weights.source import model_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_run(parser, profile_option=False)
    parser.add_argument("--stage", required=True, metavar="STAGE", help="720p or 1080p: a stage of the profile")
    parser.add_argument(
        "--model",
        type=model_source,
        metavar="DIR",
        help="whose encoders: a model directory, a Hub id or `tiny` (default: the profile's)",
    )
    parser.add_argument(
        "--decisions", metavar="NAME",
        help="encode the clips that this version of the run keeps, into RUN/decisions/NAME/encoded (default: those "
        "that the run keeps, into RUN/encoded)",
    )  # fmt: skip
    add_profile(parser, "min_frames=33")
    add_engine(parser)


def run(options: argparse.Namespace) -> None:
    """Encode what is committed and not encoded yet.

    Raises:
        ConfigError: no curated shards, no such stage or model, or other settings than before.
        CommandFailedError: Ray ended the run.
    """
    from curation.encoding.command import encode  # noqa: PLC0415
    from infra.jobs.cluster import telling_why_it_stopped  # noqa: PLC0415 (Ray and torch take seconds)

    with telling_why_it_stopped():
        encode(options)
