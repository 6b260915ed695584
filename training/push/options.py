"""Options of `python -m training push`."""

from __future__ import annotations

import argparse

from infra.command_line import existing_directory
from infra.hub.push import add_destination


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Give a model directory away: to a repository of the Hugging Face Hub, or into a folder of the same form. Its "
        "card is written from the training that made it: what it began with, recipe, data, validation. A README.md in "
        "the model directory is taken as it is. The same command goes on after it was broken off."
    )
    add = parser.add_argument
    add("--model", required=True, type=existing_directory, metavar="DIR", help="the model directory, e.g. RUN/model")
    add_destination(parser)
    add(
        "--trained", type=existing_directory, metavar="DIR",
        help="RUN/train/STAGE, the training that the card tells of (default: where the model directory lies)",
    )  # fmt: skip
    add("--base-model", default="", metavar="OWNER/NAME", help="the repository of the model that training began with")
    add(
        "--samples", type=int, default=2, metavar="N",
        help="videos of the last validation that go along; they show people of your data (default: 2, 0 for none)",
    )  # fmt: skip
