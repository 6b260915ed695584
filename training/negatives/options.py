"""Options of `python -m training negatives`; their defaults are those of `NegativesConfig`."""

from __future__ import annotations

import argparse

from infra.command_line import add_run
from model.weights.source import trained_model
from training.negatives.config import NegativesConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    defaults = NegativesConfig()
    add = parser.add_argument
    add_run(parser)
    add("--stage", required=True, help="encoded stage to read and to add to: 720p or 1080p")
    add(
        "--model",
        required=True,
        type=trained_model,
        metavar="DIR",
        help="model directory or Hub id that makes the clips",
    )
    add("--count", type=int, default=defaults.count, help="clips to have in the end (default: %(default)s)")
    add("--negative-prompt", default=defaults.prompt, metavar="TEXT", help="default: %(default)s")
    add("--steps", type=int, default=defaults.num_steps, help="denoising steps of a clip (default: %(default)s)")
    add(
        "--guidance-scale",
        type=float,
        default=defaults.guidance_scale,
        help="w of uncond + w*(cond - uncond), 1 = off (default: %(default)s)",
    )
    add("--seed", type=int, default=defaults.seed, help="default: %(default)s")
    add("--batch-size", type=int, default=defaults.batch_size, help="clips at once (default: %(default)s)")
    add("--device", help="cuda, cpu, ... (default: cuda if there is one)")
    add("--dtype", choices=("bfloat16", "float32"), help="of the network (default: bfloat16, float32 on a CPU)")
