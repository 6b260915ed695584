"""The option `--stage` of the commands that take a recipe."""

from __future__ import annotations

import argparse

from infra.config import ConfigError
from training.recipes import check_stage


def known_stage(text: str) -> str:
    """The type of an option that names a stage."""
    try:
        check_stage(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text
