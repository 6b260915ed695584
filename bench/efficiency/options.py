"""Options of `python -m bench efficiency`."""

from __future__ import annotations

import argparse
from pathlib import Path

from model.generation.options import add_acceleration_options
from model.weights.source import trained_model, weights_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is measured, and how."""
    parser.description = "Seconds, speed-ups, MFU and memory of denoising and decoding one clip, batch 1."
    add = parser.add_argument
    add(
        "--model",
        required=True,
        type=trained_model,
        help="model directory, Hub id, or with random weights `soul-5b` or `tiny`",
    )
    add("--evae", type=weights_source, metavar="DIR", help="a trained efficient autoencoder (default: random weights)")
    add(
        "--size",
        nargs="+",
        metavar="WIDTHxHEIGHT",
        help="default: 1280x704 1920x1088; without Wan's VAE, the model's own area",
    )
    add("--frames", type=int, help="pixel frames of the clip, 4k + 1 (default: the model's, 109; `tiny`: 29)")
    add(
        "--measure",
        choices=("full", "forward"),
        default="full",
        help="run every loop, or time one forward and multiply (default: %(default)s)",
    )
    add("--repeats", type=int, default=3, help="timed runs, of which the median counts (default: %(default)s)")
    add("--warmup", type=int, default=1, help="runs before the timed ones (default: %(default)s)")
    add_acceleration_options(parser, compile_default="none")
    add("--device", help="cuda, cuda:1, cpu (default: cuda if there is one)")
    types = ("bfloat16", "float32")
    add("--dtype", choices=types, help="of the network (default: bfloat16, float32 on a CPU; soul-5b: bfloat16)")
    add("--vae-dtype", choices=types, help="of the autoencoders (default: as --dtype)")
    add("--out", type=Path, metavar="FILE", help="write the figures as JSON, after each size")
