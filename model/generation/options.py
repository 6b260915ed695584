"""Command-line options of everything that makes videos: which parts a model is loaded from, and how it samples.

They are kept apart from the code that they are for (`model.generation.make_video`), which takes seconds to import.
"""

import argparse
from pathlib import Path

from model.weights.source import SHIPPED, trained_model, weights_source


def add_model_options(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """Add the options that `ModelParts.from_options` reads; without a `default`, a model must be named."""
    add = parser.add_argument
    add(
        "--model",
        default=default,
        required=default is None,
        type=trained_model,
        help=f"model directory or Hub id; `{SHIPPED}`: the small network that comes with Soul, for drawn faces; "
        f"`tiny`: its shape with random weights{'' if default is None else ' (default: %(default)s)'}",
    )
    add("--codebook", type=Path, help="codebook.safetensors (default: the model directory's, if it has one)")
    add("--vae", type=weights_source, help="another autoencoder, e.g. an eVAE: directory or Hub id")
    add("--scheduler", choices=("unipc", "euler", "few-step"), help="sampler (default: the model directory's)")
    add("--device", help="cuda, cpu, ... (default: cuda if there is one)")
    add("--dtype", choices=("bfloat16", "float32"), help="of the networks (default: bfloat16, float32 on a CPU)")
    add(
        "--vae-dtype",
        choices=("auto", "bfloat16", "float32"),
        default="auto",
        help="of the autoencoder (default: auto, which is bfloat16 on a GPU, float32 on a CPU)",
    )


def add_acceleration_options(parser: argparse.ArgumentParser, compile_default: str) -> None:
    """Add the options that `Acceleration.from_options` reads."""
    add = parser.add_argument
    add(
        "--attention",
        default="auto",
        metavar="BACKEND",
        help="a backend of diffusers (native, _native_cudnn, flash, _flash_3, sage, ...); auto: the fastest that works "
        "of FlashAttention 3, cuDNN, FlashAttention 2 and torch's own choice (default: %(default)s)",
    )
    add(
        "--compile",
        nargs="?",
        choices=("auto", "blocks", "all", "none"),
        const="blocks",
        default=compile_default,
        help="compile the network's blocks in the first forward, about a minute; all: the decoder too, for long "
        "videos; auto: the blocks, on a GPU with Triton, for at least 200 forwards of the network (default: "
        "%(default)s; without a value: blocks)",
    )
    add(
        "--quantization",
        choices=("none", "fp8"),
        default="none",
        help="fp8: linear layers of the blocks in e4m3, on GPUs from Ada and Hopper on; it says how far a velocity "
        "moves. Without --compile it is slower than bfloat16 (default: %(default)s)",
    )
    add(
        "--cache",
        metavar="NAME[:VALUE]",
        help="for samplers of many steps, changes the video: first-block:THRESHOLD skips all blocks but the first "
        "where that one changes its input nearly as before (0.05), taylor:INTERVAL extrapolates between every "
        "INTERVAL-th step (3) (default: compute every step)",
    )


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `Sampling.from_options` reads."""
    add = parser.add_argument
    add("--negative-prompt", help="what guidance leads away from (default: the model directory's)")
    add("--steps", type=int, help="denoising steps of a clip (default: the model directory's)")
    add("--guidance-scale", type=float, help="w of uncond + w*(cond - uncond), 1 = off (default: the directory's)")
    add(
        "--audio-guidance-scale",
        type=float,
        help="w of the sound alone; another forward a step where it differs (default: as "
        "--guidance-scale, or the directory's where neither is given)",
    )
    add("--seed", type=int, default=0, help="the same seed gives the same video (default: 0)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--size", help="WIDTHxHEIGHT, both divisible by 32; the image is cropped to the shape")
    size.add_argument("--area", help="720p, 1080p or pixels of a frame; the image's shape is kept")
    clamp = parser.add_mutually_exclusive_group()
    clamp.add_argument("--threshold", type=float, help="clamp overlap latents to this distance of a centroid")
    clamp.add_argument("--percentile", type=float, help="... to this percentile of the training latents' distances")
