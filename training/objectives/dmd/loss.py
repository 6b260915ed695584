"""The gradient of distribution matching distillation, for clips of which some frames are given.

The student's x₀ is noised, and two networks predict what it was: the frozen teacher under guidance (the real score) and
the critic, which has learnt what the student makes (the fake score). Their difference moves the student:
g = (x₀_fake − x₀_real) / mean|x₀ − x₀_real|. The mean is over one sample's predicted frames: over the whole batch, one
noisy sample would silence all others. Pivot and overlap are left out of gradient and mean.

Letters: B batch, C latent channels, F latent frames, H and W latent sides. σ runs over [0, 1], timesteps over
[0, 1000].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.generation.guidance import Branch, Condition, Guidance, guide
from training.data.conditioning import Batch
from training.data.randomness import DrawRandom
from training.objectives.flow_matching import VelocityModel, add_noise, per_sample_error, shifted

ConditionedModel = Callable[[Tensor, Tensor], Tensor]
"""(noisy latents, timesteps (B, F)) to velocity (B, C, F, H, W): a network together with its conditions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchingGradient:
    """Where the two scores would move the student's clips."""

    gradient: Tensor = field(repr=False)
    """(B, C, F, H, W): g, zero on clean frames."""
    size: Tensor
    """(B,): mean |g| over the predicted frames."""
    normaliser: Tensor
    """(B,): mean |x₀ − x₀_real| over the predicted frames: how far the teacher would move the clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorLoss:
    """The student's loss on one micro-batch."""

    loss: Tensor = field(repr=False)
    """Scalar, to be differentiated: its gradient with respect to x₀ is g over the number of predicted values of the
    sample, averaged over the batch."""
    per_sample: Tensor
    """(B,) half the mean square of g, detached."""
    matching: MatchingGradient
    """The gradient that the loss was made from."""


def draw_score_sigmas(random: DrawRandom, *, shift: float, lowest: float, highest: float) -> Tensor:
    """(B,) noise levels at which scores are compared: uniform, shifted, clamped."""
    return shifted(random.uniform(), shift).clamp(lowest, highest)


def conditional(model: VelocityModel, batch: Batch) -> ConditionedModel:
    """A network under the batch's text and audio."""
    return lambda noisy_latents, timesteps: model(noisy_latents, timesteps, batch.text, batch.audio)


def guided(model: VelocityModel, batch: Batch, guidance: Guidance) -> ConditionedModel:
    """A network under guidance away from the empty prompt."""
    condition, free_text = Condition(text=batch.text, audio=batch.audio), batch.unconditional().text

    def velocity(noisy_latents: Tensor, timesteps: Tensor) -> Tensor:
        def predict(_branch: Branch, given: Condition) -> Tensor:
            return model(noisy_latents, timesteps, given.text, given.audio).float()

        return guide(predict, condition, free_text=free_text, guidance=guidance)

    return velocity


@torch.no_grad()
def predict_x0(model: ConditionedModel, x0: Tensor, *, noise: Tensor, sigmas: Tensor, clean: Tensor) -> Tensor:
    """A network's prediction of the clips x₀ (B, C, F, H, W), fp32, after they were noised to `sigmas` (B,)."""
    noisy_latents, timesteps = add_noise(x0, noise, sigmas, clean)
    return noisy_latents - sigmas[:, None, None, None, None] * model(noisy_latents, timesteps).float()


def matching_gradient(x0: Tensor, *, real: Tensor, fake: Tensor, clean: Tensor) -> MatchingGradient:
    """Compare the two scores.

    Args:
        x0: (B, C, F, H, W), the student's clips.
        real: the teacher's prediction of them.
        fake: the critic's prediction of them.
        clean: (B, F) bool.
    """
    predicted = (~clean)[:, None, :, None, None]
    normaliser = distance_to_real(x0.detach(), real, clean)
    gradient = (fake - real) / normaliser[:, None, None, None, None]
    # 0 / 0 is NaN where the teacher changes nothing. Infinities would not be a gradient either.
    gradient = torch.where(predicted, gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    return MatchingGradient(gradient=gradient, size=_per_sample_mean(gradient.abs(), clean), normaliser=normaliser)


def distance_to_real(x0: Tensor, real: Tensor, clean: Tensor) -> Tensor:
    """(B,) mean |x₀ − x₀_real| of each sample by itself, over its predicted frames."""
    return _per_sample_mean((x0 - real).abs(), clean)


def generator_loss(x0: Tensor, batch: Batch, matching: MatchingGradient) -> GeneratorLoss:
    """½·MSE(x₀, stop_grad(x₀ − g)) over predicted frames: an ordinary loss whose gradient is g."""
    target = (x0 - matching.gradient).detach()
    per_sample = 0.5 * per_sample_error(x0, target, batch.frame_mask())
    return GeneratorLoss(loss=(per_sample * batch.weights).mean(), per_sample=per_sample.detach(), matching=matching)


def _per_sample_mean(values: Tensor, clean: Tensor) -> Tensor:
    """(B,) means of (B, C, F, H, W) over the frames that are not clean."""
    predicted = (~clean)[:, None, :, None, None].expand_as(values)
    return torch.where(predicted, values, 0.0).sum(dim=(1, 2, 3, 4)) / predicted.sum(dim=(1, 2, 3, 4))
