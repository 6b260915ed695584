"""A training step of ours against a plain one of the diffusers transformer of the same size, in the same run.

    python -m bench.speed.training_step                       # the tiny network
    python -m bench.speed.training_step --preset soul-5b --size 1280x704 --micro-batch 1 --checkpointing full

Ours is everything that training does: conditioning, noise, masked loss, audio attention, DeepSpeed's engine, the
moving average. The reference is a bare forward, backward and AdamW step of diffusers' `WanTransformer3DModel` without
audio. Both are warmed up and timed in turn.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Literal

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--preset", default="tiny", help="tiny or soul-5b (default: %(default)s)")
    add("--size", default="224x128", help="WIDTHxHEIGHT (default: %(default)s)")
    add("--frames", type=int, default=109, help="pixel frames (default: %(default)s)")
    add("--micro-batch", type=int, default=2, help="samples of a step (default: %(default)s)")
    add("--repeats", type=int, default=7, help="timed steps (default: %(default)s)")
    add(
        "--checkpointing",
        choices=("none", "full", "attention"),
        default="none",
        help="what the backward pass computes again; diffusers' network computes all again for attention too "
        "(default: %(default)s)",
    )


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.training_step", __doc__, add_arguments))  # ahead of the imports that take seconds

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from bench.efficiency.measure import wait_for
from model.pretrained.presets import TransformerConfig, build_transformer, get_preset
from training.data.conditioning import Batch
from training.distributed.ema import EmaConfig
from training.distributed.ranks import join_ranks
from training.distributed.trained_model import OptimizerConfig, ParallelConfig, TrainedModel
from training.objectives.flow_matching import FlowMatching, FlowMatchingConfig


def run(options: argparse.Namespace) -> None:
    """Time both and print the ratio."""
    ranks = join_ranks()
    config = get_preset(options.preset).transformer
    width, height = (int(side) for side in options.size.split("x"))
    shape = (1 + (options.frames - 1) // 4, height // 16, width // 16)
    precision: Literal["bfloat16", "float32"] = "bfloat16" if ranks.device.type == "cuda" else "float32"
    torch.manual_seed(0)
    batch = _batch(config, options.micro_batch, shape, 512 if options.preset == "soul-5b" else 64).to(ranks.device)
    model = TrainedModel(
        "transformer",
        build_transformer(config).to(ranks.device).train(),
        optimizer=OptimizerConfig(),
        parallel=ParallelConfig(zero_stage=1, precision=precision, gradient_checkpointing=options.checkpointing),
        ema=EmaConfig(),
        ranks=ranks,
        micro_batch=options.micro_batch,
        accumulation=1,
    )
    objective = FlowMatching(model, FlowMatchingConfig())
    ours = _timed(lambda: objective.train_step([batch], step=0, total_steps=1), options.repeats, ranks.device)
    plain = _timed(
        _diffusers_step(config, batch, precision, checkpointing=options.checkpointing != "none"),
        options.repeats,
        ranks.device,
    )
    tokens = options.micro_batch * shape[0] * (shape[1] // 2) * (shape[2] // 2)
    print(
        f"{options.preset}, {options.micro_batch} × {options.frames} frames of {options.size}, {tokens} tokens, "
        f"{ranks.device}"
    )
    print(f"soul       {ours:8.3f} s a step   {tokens / ours:10.0f} tokens/s   (audio attention included)")
    print(f"diffusers  {plain:8.3f} s a step   {tokens / plain:10.0f} tokens/s   (no audio)")
    print(f"ratio      {ours / plain:8.2f} ×")


def _batch(config: TransformerConfig, size: int, shape: tuple[int, int, int], text_tokens: int) -> Batch:
    frames = shape[0]
    return Batch(
        latents=torch.randn(size, config.in_channels, *shape),
        clean=(torch.arange(frames) < 1).expand(size, frames),
        text=torch.randn(size, text_tokens, config.text_dim),
        audio=torch.randn(size, frames, config.audio_window, config.audio_dim),
        free_text=torch.zeros(text_tokens, config.text_dim),
        weights=torch.ones(size),
        numbers=tuple(range(size)),
        seed=0,
    )


def _diffusers_step(
    config: TransformerConfig, batch: Batch, precision: str, *, checkpointing: bool
) -> Callable[[], Any]:
    """A plain flow-matching step, without Soul's additions."""
    values = dataclasses.asdict(config)
    audio = ("audio_dim", "audio_window")
    network = WanTransformer3DModel(**{name: value for name, value in values.items() if name not in audio})
    network.to(batch.latents.device).train()
    if checkpointing:
        network.enable_gradient_checkpointing()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-5)
    latents = batch.latents

    def step() -> Tensor:
        noise, sigma = torch.randn_like(latents), torch.rand(len(latents), 1, 1, 1, 1, device=latents.device)
        with torch.autocast(latents.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            mixed = (1 - sigma) * latents + sigma * noise
            velocity = network(mixed, sigma.flatten() * 1000, batch.text, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(velocity.float(), noise - latents)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def _timed(step: Callable[[], Any], repeats: int, device: torch.device) -> float:
    """Median seconds of a step, after two to warm up."""
    seconds = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        step()
        wait_for(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:])
