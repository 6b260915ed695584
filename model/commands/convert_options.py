"""Options of `python -m model convert`."""

import argparse
from pathlib import Path

from model.weights.source import weights_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add(
        "wan",
        type=weights_source,
        help="Wan2.2-TI2V-5B: official release or diffusers' layout, directory or Hub id",
    )
    add("--out", required=True, type=Path, help="the model directory to write")
    add(
        "--components",
        type=weights_source,
        help="where vae/, text_encoder/ and tokenizer/ are, in diffusers' layout (default: WAN)",
    )
    add("--vae", type=weights_source, help="another autoencoder, e.g. an eVAE")
    add(
        "--whisper",
        type=weights_source,
        default="openai/whisper-large-v3",
        help="whose encoder hears (default: %(default)s)",
    )
    add(
        "--zero-audio-output",
        action="store_true",
        help="start audio attention silent (paper: as text attention)",
    )
    add("--scheduler", choices=("unipc", "euler", "few-step"), default="unipc", help="default: %(default)s")
    add(
        "--dtype",
        choices=("bfloat16", "float32"),
        default="float32",
        help="of the network's weights: training starts from float32; bfloat16 is half the size and enough to make "
        "videos (default: %(default)s)",
    )
    add("--codebook", type=Path, help="codebook.safetensors to put into the directory")
