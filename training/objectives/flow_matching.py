"""Flow matching on the frames to be predicted (stages 720p and 1080p).

x_t = (1 − σ)·x₀ + σ·noise, and the network predicts the velocity noise − x₀. Clean frames are put back after the noise
is added, have timestep 0, and are left out of the loss.

Letters: B batch, C latent channels, F latent frames, H and W latent sides. σ runs over [0, 1], timesteps over
[0, 1000].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from training.data.conditioning import Batch
from training.distributed.trained_model import TrainedModel
from training.monitoring.metrics import Averages

VelocityModel = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(noisy latents, timesteps (B, F), text, audio) to velocity (B, C, F, H, W)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowMatchingConfig:
    """How noise levels are drawn."""

    shift: float = 5.0
    """σ = shift·u / (1 + (shift − 1)·u) with uniform u (Wan2.2-TI2V-5B: 5)."""
    steps: int = 0
    """Of a distilled network that is trained further: only the noise levels of a sampler of so many steps are drawn,
    each as often as the others, so that it keeps its few steps. 0 draws from all levels."""

    def __post_init__(self) -> None:
        """Refuse a negative number of steps."""
        if self.steps < 0:
            raise ValueError(f"the number of steps must not be negative, got {self.steps}")

    def sigmas(self, uniform: Tensor) -> Tensor:
        """Noise levels for uniform numbers in [0, 1)."""
        if self.steps:
            uniform = 1 - torch.floor(uniform * self.steps) / self.steps
        return shifted(uniform, self.shift)


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowMatchingLoss:
    """The loss of one micro-batch."""

    loss: Tensor = field(repr=False)
    """Scalar: weighted mean over the batch, to be differentiated."""
    per_sample: Tensor
    """(B,) mean squared error of each sample's predicted frames, detached."""
    sigmas: Tensor
    """(B,) noise levels."""


def shifted(uniform: Tensor, shift: float) -> Tensor:
    """Noise levels σ of uniform numbers in [0, 1], pushed towards 1 by `shift`."""
    return shift * uniform / (1 + (shift - 1) * uniform)


def add_noise(latents: Tensor, noise: Tensor, sigmas: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy latents (B, C, F, H, W), clean frames kept, and the timesteps (B, F) that the network is told.

    Args:
        latents: (B, C, F, H, W), x₀.
        noise: of the same shape.
        sigmas: (B,).
        clean: (B, F) bool.
    """
    sigma = sigmas[:, None, None, None, None]
    noisy = torch.where(clean[:, None, :, None, None], latents, (1 - sigma) * latents + sigma * noise)
    return noisy, torch.where(clean, 0.0, 1000 * sigmas[:, None])


def per_sample_error(prediction: Tensor, target: Tensor, frame_mask: Tensor) -> Tensor:
    """(B,) mean squared error over the frames whose mask (B, 1, F, 1, 1) is 1, in fp32."""
    squared = (prediction.float() - target.float()).square() * frame_mask
    _, channels, _, height, width = prediction.shape
    return squared.sum(dim=(1, 2, 3, 4)) / (frame_mask.sum(dim=(1, 2, 3, 4)) * channels * height * width)


def flow_matching_loss(
    model: VelocityModel, batch: Batch, config: FlowMatchingConfig, *, sigmas: Tensor | None = None
) -> FlowMatchingLoss:
    """The loss of a micro-batch; `sigmas` (B,) fixes the noise levels, for validation."""
    random = batch.random("flow-matching")
    noise = random.normal(*batch.latents.shape[1:])
    if sigmas is None:
        sigmas = config.sigmas(random.uniform())
    noisy_latents, timesteps = add_noise(batch.latents, noise, sigmas, batch.clean)
    velocity = model(noisy_latents, timesteps, batch.text, batch.audio)
    per_sample = per_sample_error(velocity, noise - batch.latents, batch.frame_mask())
    loss = (per_sample * batch.weights).mean()
    return FlowMatchingLoss(loss=loss, per_sample=per_sample.detach(), sigmas=sigmas)


class FlowMatching:
    """The objective of the stages 720p and 1080p."""

    VALIDATION_SIGMAS = (0.3, 0.6, 0.85, 0.97)
    """Noise levels at which the error of held-out samples is measured, where all levels are trained."""

    def __init__(self, model: TrainedModel, config: FlowMatchingConfig) -> None:
        self.models: Sequence[TrainedModel] = (model,)
        self.model = model
        self.config = config
        self.needs_initial = False
        self.forwards = 3.0

    def train_step(self, batches: Sequence[Batch], *, step: int, total_steps: int) -> Averages:
        """See `Objective.train_step`; logs the loss, by noise level too, the gradient's norm and the rate."""
        averages = Averages()
        for batch in batches:
            result = flow_matching_loss(self.model.velocity, batch, self.config)
            self.model.backward(result.loss, step=step, total_steps=total_steps)
            log_by_noise_level(averages, result, batch.weights)
        averages.add("grad_norm", self.model.grad_norm)
        averages.add("lr", self.model.lr)
        return averages

    @torch.no_grad()
    def validation_loss(self, batch: Batch) -> Tensor:
        """(B,) errors, averaged over fixed noise levels."""
        steps, levels = self.config.steps, torch.tensor(self.VALIDATION_SIGMAS)
        if steps:
            levels = self.config.sigmas(torch.arange(steps) / steps)
        errors = []
        for sigma in levels.tolist():
            sigmas = torch.full((len(batch.latents),), sigma, device=batch.latents.device)
            errors.append(flow_matching_loss(self.model.predict, batch, self.config, sigmas=sigmas).per_sample)
        return torch.stack(errors).mean(dim=0)


def log_by_noise_level(averages: Averages, result: FlowMatchingLoss, weights: Tensor, *, name: str = "loss") -> None:
    """Add each sample's error to the mean, and to the mean of its fifth of the noise levels; fillers are left out."""
    for error, sigma, weight in zip(result.per_sample.tolist(), result.sigmas.tolist(), weights.tolist(), strict=True):
        if weight:
            fifth = min(int(sigma * 5), 4)
            averages.add(name, error)
            averages.add(f"{name}_sigma_{fifth / 5:.1f}_{(fifth + 1) / 5:.1f}", error)
