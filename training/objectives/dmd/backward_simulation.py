"""The clips that the student is trained on: its own samples, stopped at a random step (DMD2's backward simulation).

So the student is trained on the inputs that it has when videos are made, not on noised training data. Starting from
pure noise, each forward gives x₀ = x_t − σ·v, and the next input is (1 − σ′)·x₀ + σ′·fresh noise. This is the
`few-step` scheduler of `model.generation.sampling`, with clean frames put back before every forward and after the last.

Letters: B batch, C latent channels, F latent frames, H and W latent sides. σ runs over [0, 1], timesteps over
[0, 1000].
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.data.conditioning import Batch
from training.data.randomness import seed_of
from training.objectives.flow_matching import VelocityModel, add_noise


def draw_exit_step(seed: int, phase: str, step: int, num_steps: int) -> int:
    """The step at which all simulations of an update stop, uniform in 0 … num_steps − 1.

    It follows from the training's seed and the update's number alone, so that it is the same on all ranks: with ZeRO-3
    they must all make the same number of forwards.
    """
    return seed_of(seed, "exit-step", phase, step) % num_steps


def simulate(
    batch: Batch, sigmas: Tensor, *, phase: str, exit_step: int, student: VelocityModel, last: VelocityModel
) -> Tensor:
    """The student's x₀ (B, C, F, H, W) fp32 at step `exit_step`, clean frames as given.

    Args:
        batch: what clips are made from; of its latents only the clean frames are used.
        sigmas: (N,) noise levels of the student's steps, from 1 downwards.
        phase: names the noise: the generator's and the critic's simulations have noise of their own.
        exit_step: the last step that is made.
        student: the student without a gradient, for the steps before `exit_step`.
        last: the student, with a gradient or without, for the last step.
    """
    random, shape = batch.random(f"{phase}-simulation"), batch.latents.shape[1:]
    # At σ = 1 these zeros have no weight, so their values do not matter.
    x0 = torch.zeros_like(batch.latents)
    for step, sigma in enumerate(sigmas[: exit_step + 1]):
        levels = sigma.expand(len(x0))
        noisy_latents, timesteps = add_noise(_with_clean(x0, batch), random.normal(*shape), levels, batch.clean)
        model = last if step == exit_step else student
        velocity = model(noisy_latents, timesteps, batch.text, batch.audio)
        x0 = _with_clean(noisy_latents - sigma * velocity.float(), batch)
    return x0


def _with_clean(latents: Tensor, batch: Batch) -> Tensor:
    return torch.where(batch.clean[:, None, :, None, None], batch.latents, latents)
