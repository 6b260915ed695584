"""From noise to latents: schedulers, and clean frames that stay clean.

Letters: B batch, C latent channels, F latent frames, H and W latent sides. Timesteps run over [0, 1000], sigmas over
[0, 1].
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor

from model.generation.guidance import Branch, Condition, Guidance, guide
from model.network.transformer import SoulTransformer3DModel

SHIFT: Final = 5.0
"""Timestep shift of Wan2.2-TI2V-5B at every resolution."""

Scheduler = Any
"""A diffusers scheduler of flow matching: UniPC or Euler."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanFrames:
    """Latent frames that are given: the pivot and the overlap, which come first in a clip."""

    latents: Tensor
    """(B, C, F_clean, H, W), F_clean ≥ 1."""

    def overwrite(self, latents: Tensor) -> Tensor:
        """`latents` (B, C, F, H, W) with its first frames replaced by the clean ones."""
        return torch.cat([self.latents.to(latents), latents[:, :, self.latents.shape[2] :]], dim=2)

    def timesteps(self, timestep: Tensor, latents: Tensor) -> Tensor:
        """(B, F): `timestep` for frames to be denoised, 0 for clean ones."""
        batch, _, num_frames = latents.shape[:3]
        timesteps = timestep.float().to(latents.device).expand(batch, num_frames).clone()
        timesteps[:, : self.latents.shape[2]] = 0
        return timesteps


def build_scheduler(name: str) -> Scheduler:
    """A scheduler with shift 5.

    `unipc` is the reference sampler; `euler` is first-order; `few-step` is for distilled models: each step goes
    from the x₀ prediction to (1 − σ′)·x₀ + σ′·fresh noise, as DMD trains the student.
    """
    if name == "unipc":
        return UniPCMultistepScheduler(
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            flow_shift=SHIFT,
            num_train_timesteps=1000,
        )
    if name in {"euler", "few-step"}:
        return FlowMatchEulerDiscreteScheduler(shift=SHIFT, stochastic_sampling=name == "few-step")
    raise ValueError(f"unknown scheduler {name!r}: choose unipc, euler or few-step")


def set_timesteps(scheduler: Scheduler, num_steps: int, device: str | torch.device) -> tuple[Tensor, Tensor]:
    """Prepare `num_steps` steps from σ = 1 to 0, evenly spaced before the shift.

    The sigmas are given rather than left to the scheduler: diffusers' Euler would shift its range twice. Four
    steps become 1000, 937.5, 833.3 and 625, on which the distilled student is trained.

    Returns:
        The scheduler's own timesteps, which name the steps, and the noise levels that the network is told, 1000·σ.
        They differ for UniPC, which cuts its timesteps to whole numbers.

    Raises:
        ValueError: fewer than one step.
    """
    if num_steps < 1:
        raise ValueError(f"the number of steps must be at least 1, got {num_steps}")
    scheduler.set_timesteps(sigmas=np.linspace(1, 0, num_steps + 1)[:-1], device=device)
    # Left to look for its beginning, UniPC passes over the first of two timesteps that are cut to the same number.
    scheduler.set_begin_index(0)
    return scheduler.timesteps, scheduler.sigmas[:-1].float() * 1000


def denoise(
    transformer: SoulTransformer3DModel,
    scheduler: Scheduler,
    noise: Tensor,
    clean: CleanFrames,
    *,
    condition: Condition,
    free_text: Tensor | None,
    guidance: Guidance,
    num_steps: int,
    generator: torch.Generator,
    on_step: Callable[[int], None],
) -> Tensor:
    """Denoise one clip: `noise` (B, C, F, H, W) fp32 to latents of the same shape.

    Clean frames are overwritten before every forward and after the last step, and their tokens have t = 0. For
    `condition`, `free_text` and `guidance` see `guide`.
    """
    # What a step cache holds is of another clip.
    transformer._reset_stateful_cache()
    latents = clean.overwrite(noise)
    stochastic = {"generator": generator} if isinstance(scheduler, FlowMatchEulerDiscreteScheduler) else {}
    names, levels = set_timesteps(scheduler, num_steps, noise.device)
    for step, (name, level) in enumerate(zip(names, levels, strict=True)):
        predict = partial(_velocity, transformer, latents, clean.timesteps(level, latents))
        velocity = guide(predict, condition, free_text=free_text, guidance=guidance)
        latents = scheduler.step(velocity, name, latents, return_dict=False, **stochastic)[0]
        latents = clean.overwrite(latents)
        on_step(step)
    return latents


def _velocity(
    transformer: SoulTransformer3DModel, latents: Tensor, timesteps: Tensor, branch: Branch, condition: Condition
) -> Tensor:
    dtype = transformer.dtype
    # A step cache remembers each branch for itself.
    with transformer.cache_context(branch):
        velocity: Tensor = transformer(
            latents.to(dtype), timesteps, condition.text.to(dtype), condition.audio.to(dtype), return_dict=False
        )[0]
    return velocity.float()
