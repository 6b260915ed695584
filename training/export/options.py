"""Options of `python -m training export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from infra.command_line import existing_directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Make a model directory of a checkpoint, as a finished training does of its last one. It needs no GPU, holds "
        "one file of weights in memory (2 GB at most), and can be used while training goes on: it opens all files "
        "that it reads before anything else, so that it can read them even when training removes the checkpoint. With "
        "--lora, it writes what training has changed as a LoRA for the network that it began with: as diffusers loads "
        "it for Wan2.2, and as ComfyUI does."
    )
    add = parser.add_argument
    add(
        "--checkpoint", type=existing_directory, metavar="DIR",
        help="RUN/train/STAGE for the newest checkpoint that is whole, or RUN/train/STAGE/checkpoints/step-N for one",
    )  # fmt: skip
    add("--out", required=True, type=Path, metavar="DIR", help="the directory to make; must not exist yet")
    add("--raw", action="store_true", help="the weights as they are trained, in place of their moving average")
    add(
        "--dtype", choices=("bfloat16", "float32"),
        help="of the weights that need not be float32 (default: store_dtype of the recipe; of a LoRA bfloat16)",
    )  # fmt: skip
    add(
        "--model", type=existing_directory, metavar="DIR",
        help="the model directory that training began with, if it has been moved since; with --lora and without "
        "--checkpoint: the trained one",
    )  # fmt: skip
    add("--lora", type=int, metavar="RANK", help="write a LoRA of this rank in place of a model directory")
    add(
        "--base", type=existing_directory, metavar="DIR",
        help="with --lora: the model directory that the LoRA is for, e.g. what `model convert` made of Wan2.2 "
        "(default: the one that training began with)",
    )  # fmt: skip
    add(
        "--audio", action="store_true",
        help="with --lora: also the audio layers, in a file of their own that neither diffusers' Wan nor ComfyUI loads",
    )  # fmt: skip
