"""The steps of the check, in the order of their worth: what stands last is what a short budget goes without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step, a module of `bench.gpu_check.steps` with a function `measure`."""

    name: str
    """The module."""
    about: str
    """What it shows."""
    share_s: float
    """Its share of a budget of `FULL_BUDGET_S`."""


SIZES: Final = ("full", "tiny")
"""The paper's model at the paper's sizes, and one for a CPU."""

FULL_BUDGET_S: Final = 720.0
"""Seconds allowed for all steps, loading included: estimated from those that an H200 took for each."""

STEPS: Final = (
    Step(name="ceilings", about="how fast the device multiplies and copies; versions", share_s=30),
    Step(name="parity", about="the GPU computes what the CPU computes", share_s=10),
    Step(name="attention", about="self-attention of a clip by every kernel there is", share_s=15),
    Step(name="block", about="a transformer block beside diffusers'", share_s=25),
    Step(name="forward", about="the whole network, once, in bf16 and in fp8", share_s=60),
    Step(name="training", about="a training step, by the slope over blocks", share_s=135),
    Step(name="autoencoder", about="full and efficient autoencoder by type and memory layout", share_s=65),
    Step(name="clip", about="a video, clip by clip, as people make it", share_s=190),
    Step(name="kernels", about="codebook clamp, K-Means and fp8 linear layers", share_s=25),
    Step(name="video", about="writing video files with x264 and with NVIDIA's encoders", share_s=10),
    Step(name="trainer", about="trainings and their checkpoints, as `python -m training run`", share_s=60),
    # ZeRO-3 replaces torch's linear layer for the whole process, so nothing comes after it.
    Step(name="zero", about="DeepSpeed: steps, averages, checkpoints, distillation", share_s=95),
)
