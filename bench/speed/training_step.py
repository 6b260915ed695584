"""A training step of ours against a plain one of the diffusers transformer of the same size, in the same run.

    python -m bench.speed.training_step                       # the tiny network
    python -m bench.speed.training_step --preset soul-5b --size 1280x704 --micro-batch 1 --checkpointing full

A network of 6B and the states of its optimizer do not fit on a device. So of `soul-5b`, two numbers of blocks are
measured, and what one more block adds, times the rest, makes the step of the whole network (`--blocks`).

Ours is everything that training does: conditioning, noise, masked loss, audio attention, DeepSpeed's engine, the
moving average. The reference is a bare forward, backward and AdamW step of diffusers' `WanTransformer3DModel` without
audio. Both are warmed up and timed in turn.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

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
        "--blocks",
        type=_two_numbers,
        metavar="FEW,MANY",
        help="measure so many blocks and extrapolate (default: 2,4 for soul-5b, the whole network for tiny)",
    )
    add(
        "--checkpointing",
        choices=("none", "full", "attention"),
        default="none",
        help="what the backward pass computes again; diffusers' network computes all again for attention too "
        "(default: %(default)s)",
    )


def _two_numbers(text: str) -> tuple[int, int]:
    """Two numbers of blocks, the smaller first.

    Raises:
        argparse.ArgumentTypeError: they are something else.
    """
    few, separator, many = text.partition(",")
    if not (separator and few.isdigit() and many.isdigit() and 0 < int(few) < int(many)):
        raise argparse.ArgumentTypeError(f"{text}: give two numbers of blocks, the smaller first, e.g. 2,4")
    return int(few), int(many)


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.training_step", __doc__, add_arguments))  # ahead of the imports that take seconds

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from bench.efficiency.measure import wait_for
from model.pretrained.presets import TransformerConfig, build_transformer, get_preset
from training.data.conditioning import Batch
from training.distributed.ema import EmaConfig
from training.distributed.ranks import Ranks, join_ranks
from training.distributed.trained_model import OptimizerConfig, ParallelConfig, TrainedModel
from training.objectives.flow_matching import FlowMatching, FlowMatchingConfig

BLOCKS: Final = {"soul-5b": (2, 4)}
"""Numbers of blocks that are measured of networks that are not measured whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSeconds:
    """Seconds of a step."""

    ours: float
    """Of Soul's."""
    plain: float
    """Of the plain one."""

    def extrapolated(self, few: StepSeconds, *, added: int, rest: int) -> StepSeconds:
        """With `rest` more blocks, each of which adds what each of `added` adds to `few`."""
        return StepSeconds(
            ours=self.ours + rest * (self.ours - few.ours) / added,
            plain=self.plain + rest * (self.plain - few.plain) / added,
        )


def run(options: argparse.Namespace) -> None:
    """Time both and print the ratio.

    Raises:
        ValueError: more blocks are asked for than the network has.
    """
    ranks = join_ranks()
    config = get_preset(options.preset).transformer
    blocks = options.blocks or BLOCKS.get(options.preset)
    width, height = (int(side) for side in options.size.split("x"))
    shape = (1 + (options.frames - 1) // 4, height // 16, width // 16)
    text_tokens = 512 if options.preset == "soul-5b" else 64
    torch.manual_seed(0)
    batch = _batch(config, options.micro_batch, shape, text_tokens).to(ranks.device)
    if blocks is None:
        seconds = _measured(config, batch, options, ranks)
    else:
        seconds = _extrapolated(config, blocks, lambda network: _measured(network, batch, options, ranks))
    tokens = options.micro_batch * shape[0] * (shape[1] // 2) * (shape[2] // 2)
    how = "" if blocks is None else f", from {blocks[0]} and {blocks[1]} of {config.num_layers} blocks"
    print(
        f"{options.preset}, {options.micro_batch} × {options.frames} frames of {options.size}, {tokens} tokens, "
        f"{ranks.device}{how}"
    )
    ours, plain = seconds.ours, seconds.plain
    print(f"soul       {ours:8.3f} s a step   {tokens / ours:10.0f} tokens/s   (audio attention included)")
    print(f"diffusers  {plain:8.3f} s a step   {tokens / plain:10.0f} tokens/s   (no audio)")
    print(f"ratio      {ours / plain:8.2f} ×")


def _extrapolated(
    config: TransformerConfig, blocks: tuple[int, int], measure: Callable[[TransformerConfig], StepSeconds]
) -> StepSeconds:
    few, many = blocks
    if many > config.num_layers:
        raise ValueError(f"--blocks {few},{many}: the network has {config.num_layers} blocks")
    at_few, at_many = (measure(dataclasses.replace(config, num_layers=number)) for number in blocks)
    return at_many.extrapolated(at_few, added=many - few, rest=config.num_layers - many)


def _measured(config: TransformerConfig, batch: Batch, options: argparse.Namespace, ranks: Ranks) -> StepSeconds:
    """Both steps on the same batch, one network after the other: memory holds one with its optimizer's states."""
    precision: Literal["bfloat16", "float32"] = "bfloat16" if ranks.device.type == "cuda" else "float32"
    ours = _timed(_soul_step(config, batch, precision, options, ranks), options.repeats, ranks.device)
    _free()
    plain = _timed(
        _diffusers_step(config, batch, precision, checkpointing=options.checkpointing != "none"),
        options.repeats,
        ranks.device,
    )
    _free()
    return StepSeconds(ours=ours, plain=plain)


def _free() -> None:
    """Give back what the networks took that nothing refers to any more."""
    gc.collect()
    torch.cuda.empty_cache()


def _soul_step(
    config: TransformerConfig,
    batch: Batch,
    precision: Literal["bfloat16", "float32"],
    options: argparse.Namespace,
    ranks: Ranks,
) -> Callable[[], Any]:
    """All that training does."""
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
    return lambda: objective.train_step([batch], step=0, total_steps=1)


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
    ours = ("audio_dim", "audio_window", "residual_in_fp32")
    network = WanTransformer3DModel(**{name: value for name, value in values.items() if name not in ours})
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
