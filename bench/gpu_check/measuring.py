"""Measuring that several steps share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from bench.efficiency.measure import wait_for
from bench.efficiency.peak_memory import measure_peak_memory
from bench.gpu_check.setting import ClipSize, Setting
from model.cost.flops import count_transformer_flops

LONG_S: Final = 0.3
"""A run of so many seconds is timed once: its spread is small beside it, and the budget is short."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one run took."""

    seconds: float
    """Median time; on a CPU, the shortest."""
    peak_gb: float | None
    """Growth of memory on the device, in 10⁹ bytes; None on a CPU, where it is not counted."""


def cost_of(work: Callable[[], object], setting: Setting, *, runs: int = 1) -> Cost:
    """The cost of one run of `work`, after one to warm up; `runs` of them are timed at once where one is short."""
    work()
    if setting.device.type != "cuda":
        return Cost(seconds=_usual_seconds(work, setting, runs), peak_gb=None)
    with measure_peak_memory(setting.device) as peak:
        seconds = _usual_seconds(work, setting, runs)
    return Cost(seconds=seconds, peak_gb=peak.grown_bytes / 1e9)


def _usual_seconds(work: Callable[[], object], setting: Setting, runs: int) -> float:
    times: list[float] = []
    while len(times) < setting.repeats and (not times or times[0] < LONG_S):
        started = now(setting.device)
        for _ in range(runs):
            work()
        times.append(now(setting.device) - started)
    # What else a CPU has to do only ever adds to a time.
    return (statistics.median if setting.device.type == "cuda" else min)(times) / runs


def now(device: torch.device) -> float:
    """Seconds on a clock, when the device has done all that it was told."""
    wait_for(device)
    return time.perf_counter()


def relative_error(result: Tensor, reference: Tensor) -> float:
    """‖result − reference‖ / ‖reference‖ in double precision; NaN where either holds one."""
    wanted = reference.double().cpu()
    return float((result.double().cpu() - wanted).norm() / wanted.norm())


def free_memory(device: torch.device) -> None:
    """Give memory that nothing uses back to the device, so that the next figure starts from the same state."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def tf32(*, allowed: bool) -> Iterator[None]:
    """Inside, products and convolutions of fp32 tensors may (or may not) use TF32."""
    # torch.backends.cudnn.flags() would switch cuDNN off, too.
    products: Any = torch.backends.cuda.matmul
    convolutions: Any = torch.backends.cudnn
    before = bool(products.allow_tf32), bool(convolutions.allow_tf32)
    products.allow_tf32 = convolutions.allow_tf32 = allowed
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def network_inputs(setting: Setting, clip: ClipSize, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random latents (1, C, F, H, W), timesteps (1, F) with a clean first frame, text and audio of one clip."""
    network = setting.network
    frames, height, width = clip.latents
    with torch.device(setting.device):
        timesteps = torch.full((1, frames), 900.0)
        timesteps[:, 0] = 0
        return (
            torch.randn(1, network.in_channels, frames, height, width, dtype=dtype),
            timesteps,
            torch.randn(1, setting.num_text_tokens, network.text_dim, dtype=dtype),
            torch.randn(1, frames, network.audio_window, network.audio_dim, dtype=dtype),
        )


def forward_flops(setting: Setting, clip: ClipSize, *, num_blocks: int) -> int:
    """Operations of one forward of the network with so many blocks."""
    return count_transformer_flops(
        setting.with_blocks(num_blocks),
        num_frames=clip.num_frames,
        height=clip.height,
        width=clip.width,
        num_text_tokens=setting.num_text_tokens,
    ).total
