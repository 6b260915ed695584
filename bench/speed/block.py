"""One transformer block: Soul's modulation per latent frame against diffusers' per token, in the same run.

`python -m bench.speed.block` measures the 5B block at 1088×1920×109 on a CUDA device, and a small one on a CPU.

Letters: F latent frames, S tokens of a latent frame, D model width.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from infra.command_line import run_alone

SIZES = ("num_frames", "height", "width", "num_heads", "ffn_dim", "num_text_tokens", "audio_window", "repeats")
"""Fields of `BlockBenchConfig` that can be given."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    for size in SIZES:
        parser.add_argument(
            f"--{size.replace('_', '-')}",
            type=int,
            help="default: the 5B block's on a CUDA device, a small one's on a CPU",
        )


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.block", __doc__, add_arguments))  # ahead of the imports that take seconds

import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from einops import rearrange
from torch import Tensor, nn

from bench.efficiency.measure import wait_for
from bench.efficiency.peak_memory import measure_peak_memory
from model.network.blocks import SoulTransformerBlock
from model.network.rope import RotaryEmbedding

PER_TOKEN = "diffusers, modulation per token"
PER_FRAME = "Soul, modulation per frame, no audio"
WITH_AUDIO = "Soul, modulation per frame, audio"
COMPILED = "Soul, modulation per frame, audio, compiled"


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockBenchConfig:
    """Size of the block and of the clip; the defaults suit two CPU cores."""

    num_frames: int = 7
    """Latent frames F."""
    height: int = 16
    """Rows of tokens in a latent frame."""
    width: int = 16
    """Columns of tokens in a latent frame."""
    num_heads: int = 4
    """Attention heads."""
    head_dim: int = 128
    """Channels of a head."""
    ffn_dim: int = 2048
    """Inner width of the feed-forward layer."""
    num_text_tokens: int = 512
    """Text tokens, padding included."""
    audio_window: int = 16
    """Audio tokens of a latent frame."""
    repeats: int = 5
    """Timed runs of each block, taken in turns."""
    dtype: torch.dtype = torch.float32
    """Type of weights and tokens."""
    device: str = "cpu"
    """Where to run."""
    compiler: str | None = None
    """Backend of `torch.compile`, with which Soul's block is measured once more; None leaves that out."""

    @property
    def dim(self) -> int:
        """Model width D."""
        return self.num_heads * self.head_dim


SOUL_5B_1080P = BlockBenchConfig(
    num_frames=28,
    height=34,
    width=60,
    num_heads=24,
    ffn_dim=14336,
    dtype=torch.bfloat16,
    device="cuda",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockCost:
    """What one forward of a block took."""

    name: str
    """Which block."""
    median_s: float
    """Median time of a forward."""
    peak_bytes: int
    """Growth of memory in a forward, with modulation but without weights and tokens."""


class _NoAudio(nn.Module):
    """Replaces the audio attention, so that both blocks do the same work."""

    def forward(self, tokens: Tensor, _audio: Tensor) -> Tensor:
        return torch.zeros((), dtype=tokens.dtype, device=tokens.device)


@torch.no_grad()
def measure_blocks(config: BlockBenchConfig) -> list[BlockCost]:
    """Measure diffusers' block, Soul's without and with audio attention, on the same weights and inputs.

    Raises:
        RuntimeError: diffusers' block and Soul's without audio do not compute the same.
    """
    forwards = _build_forwards(config)
    _check_same(forwards[PER_FRAME]().flatten(1, 2), forwards[PER_TOKEN]())

    device = torch.device(config.device)
    times: dict[str, list[float]] = {name: [] for name in forwards}
    for _ in range(config.repeats):
        for name, forward in forwards.items():
            times[name].append(_time(forward, device))
    peaks: dict[str, int] = {}
    for name, forward in forwards.items():
        with measure_peak_memory(device) as peak:
            forward()
        peaks[name] = peak.grown_bytes
    return [BlockCost(name=name, median_s=statistics.median(times[name]), peak_bytes=peaks[name]) for name in forwards]


def _check_same(ours: Tensor, reference: Tensor) -> None:
    error = float((ours.float() - reference.float()).norm() / reference.float().norm())
    tolerance = 1e-5 if reference.dtype == torch.float32 else 2e-2
    if not error <= tolerance:
        raise RuntimeError(f"the blocks differ by {error:.1e} of the output's norm, more than {tolerance:.0e}")


def format_costs(costs: list[BlockCost]) -> str:
    """Lay out the costs as a table, each with its ratio to the first."""
    first = costs[0]
    lines = [f"{'block':<40}{'ms':>10}{'ratio':>8}{'peak MiB':>11}{'ratio':>8}"]
    lines += [
        f"{cost.name:<40}{1000 * cost.median_s:>10.1f}{cost.median_s / first.median_s:>8.2f}"
        f"{cost.peak_bytes / 2**20:>11.1f}{cost.peak_bytes / first.peak_bytes:>8.2f}"
        for cost in costs
    ]
    return "\n".join(lines)


def _build_forwards(config: BlockBenchConfig) -> dict[str, Callable[[], Tensor]]:
    """Return one forward for each block; each expands the modulation itself, as its model does before the blocks."""
    with torch.device(config.device):
        soul = SoulTransformerBlock(config.dim, config.ffn_dim, config.num_heads, cross_attn_norm=True, eps=1e-6).to(
            config.dtype
        )
        wan = WanTransformerBlock(config.dim, config.ffn_dim, config.num_heads, cross_attn_norm=True).to(config.dtype)
        tokens = torch.randn(1, config.num_frames, config.height * config.width, config.dim, dtype=config.dtype)
        text = torch.randn(1, config.num_text_tokens, config.dim, dtype=config.dtype)
        audio = torch.randn(1, config.num_frames, config.audio_window, config.dim, dtype=config.dtype)
        modulation = torch.randn(1, config.num_frames, 6, config.dim)
    weights = soul.state_dict()
    wan.load_state_dict({name: tensor for name, tensor in weights.items() if "audio" not in name})
    without_audio = SoulTransformerBlock(
        config.dim, config.ffn_dim, config.num_heads, cross_attn_norm=True, eps=1e-6
    ).to(config.device, config.dtype)
    without_audio.load_state_dict(weights)
    without_audio.norm_audio, without_audio.attn_audio = nn.Identity(), _NoAudio()  # type: ignore[assignment]

    grid = (config.num_frames, config.height, config.width)
    cos, sin = RotaryEmbedding(config.head_dim, 1024)(*grid, torch.device(config.device))
    tables = (cos.flatten(0, 1), sin.flatten(0, 1))
    wan_tables = tuple(rearrange(table.repeat_interleave(2, -1), "n 1 d -> 1 n 1 d") for table in tables)

    def per_token() -> Tensor:
        # In diffusers the time embedding takes the type of the text states.
        per_token = modulation.to(config.dtype).repeat_interleave(tokens.shape[2], dim=1)
        output: Tensor = wan(tokens.flatten(1, 2), text, per_token, wan_tables)
        return output

    def per_frame() -> Tensor:
        output: Tensor = without_audio(tokens, text, audio, modulation, tables)
        return output

    def with_audio() -> Tensor:
        output: Tensor = soul(tokens, text, audio, modulation, tables)
        return output

    forwards: dict[str, Callable[[], Tensor]] = {PER_TOKEN: per_token, PER_FRAME: per_frame, WITH_AUDIO: with_audio}
    if config.compiler is not None:
        block = torch.compile(soul, backend=config.compiler, fullgraph=True)
        forwards[COMPILED] = lambda: block(tokens, text, audio, modulation, tables)
        forwards[COMPILED]()  # compiles
    return forwards


def _time(forward: Callable[[], Tensor], device: torch.device) -> float:
    start_s = time.perf_counter()
    forward()
    wait_for(device)
    return time.perf_counter() - start_s


def run(options: argparse.Namespace) -> None:
    """Measure with the sizes given on the command line and print the table."""
    defaults = SOUL_5B_1080P if torch.cuda.is_available() else BlockBenchConfig()
    given = {name: getattr(options, name) for name in SIZES if getattr(options, name) is not None}
    config = dataclasses.replace(defaults, **given)
    print(f"{config.num_frames} × {config.height * config.width} tokens of {config.dim}, {config.dtype}")
    print(format_costs(measure_blocks(config)))
