"""Options of `python -m training plan`."""

from __future__ import annotations

import argparse

from training.recipes import stages
from training.recipes.option import known_stage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Say what a stage will hold on each GPU, and whether that fits; nothing is loaded, and no GPU is needed.\n\n"
        "One table has the parts in each phase of a step and of a validation, the other the peak of each zero_stage\n"
        "and sequence_parallel; a star marks what the recipe takes. All is in GB of 10^9 bytes. The status is 0 if\n"
        "what was asked for fits, 1 if it does not."
    )
    add = parser.add_argument
    add("--stage", required=True, type=known_stage, metavar="STAGE", help=", ".join(stages()))
    add("--gpus", type=int, default=8, metavar="N", help="GPUs that train together (default: 8)")
    add(
        "--gpu-memory", type=float, default=80.0, metavar="GB",
        help="of one GPU, as it is sold: a card of 80 GB holds 85.5, of which a tenth is left free (default: 80)",
    )  # fmt: skip
    add("--model", metavar="DIR", help="model directory or preset to start from (default: the recipe's, or soul-5b)")
    add(
        "--clip", metavar="FxHxW",
        help="frames, height and width of the largest clips (default: 109 at 16:9, of the stage's area)",
    )  # fmt: skip
    add(
        "--profile", default="production", help="a name in infra/profiles or a YAML file (default: production)"
    )  # fmt: skip
    add(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE",
        help="override a field, e.g. parallel.zero_stage=3; may be repeated",
    )  # fmt: skip
