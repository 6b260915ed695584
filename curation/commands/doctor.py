"""`python -m curation doctor`: whether a profile can run here, backend by backend, and what is missing."""

from __future__ import annotations

import argparse

from infra.command_line import CommandFailedError, add_profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add_profile(parser, "models.retinaface.weights=/weights/retinaface.pth")


def run(options: argparse.Namespace) -> None:
    """Print what each backend runs with, and a line for everything that is missing.

    Raises:
        ConfigError: the profile is not what it should be.
        CommandFailedError: the profile cannot run here.
    """
    from rich.console import Console  # noqa: PLC0415

    from curation.commands.missing import tell_lesser, tell_missing, tell_readiness  # noqa: PLC0415 (imports Ray)
    from curation.pipeline import CurationConfig  # noqa: PLC0415
    from curation.readiness import readiness  # noqa: PLC0415
    from infra.config import load_section  # noqa: PLC0415

    console = Console(markup=False)
    config = load_section(CurationConfig, options.profile, "curation", options.overrides)
    places = readiness(config)
    tell_readiness(console, config, places)
    num = tell_missing(console, config, places)
    if config.requires == "paper":
        num += tell_lesser(console, config)
    if num:
        raise CommandFailedError(f"{options.profile} cannot run here: {num} of the lines above begin with `missing`")
    console.print(f"{options.profile} can run here", highlight=False)
