"""Step and guidance distillation at once: distribution matching without the GAN loss (paper, Sec. 3.3; DMD2).

The student is trained to make, in a few steps and without guidance, clips that the teacher under guidance finds
plausible. A critic learns what the student makes at present. It is trained several times as often as the student, so
that it keeps up.

Letters: B batch, N student steps. σ runs over [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import torch
from torch import Tensor

from model.generation.guidance import Guidance
from training.data.conditioning import Batch
from training.distributed.trained_model import OptimizerConfig, TrainedModel
from training.monitoring.metrics import Averages
from training.objectives.dmd.backward_simulation import draw_exit_step, simulate
from training.objectives.dmd.loss import (
    GeneratorLoss,
    conditional,
    distance_to_real,
    draw_score_sigmas,
    generator_loss,
    guided,
    matching_gradient,
    predict_x0,
)
from training.objectives.dmd.teacher import Placement, Teacher
from training.objectives.flow_matching import FlowMatchingConfig, flow_matching_loss, log_by_noise_level

_FORWARD: Final = 1.0
_BACKWARD: Final = 2.0
"""Work of one pass through the network, in forwards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DmdConfig:
    """How teacher, student and critic work together. The paper gives none of these; the defaults are published ones."""

    real_guidance_scale: float = 5.0
    """The teacher's guidance of text and sound (published: 3 to 6; Wan2.2: 5)."""
    real_audio_guidance_scale: float | None = None
    """The teacher's guidance of the sound, where it is to differ; another forward of the teacher."""
    critic_updates: int = 5
    """Critic updates for each of the student (DMD2: 5). A step of the training is one critic update."""
    critic: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(lr=4e-7, betas=(0.0, 0.999), clip=10.0, warmup_steps=0)
    )
    """The critic's optimizer (published learning rates: 4e-7 or 2e-7)."""
    critic_lora_rank: int = 0
    """Above 0, the critic is the teacher with LoRA adapters of this rank, and both share one copy of the weights, in
    fp32. At 0, the critic is a copy of its own, all of which is trained, as published."""
    teacher: Placement = "resident"
    """Where the teacher's weights are: on the device, in host memory between its forwards, or shared out over the
    ranks."""
    shift: float = 5.0
    """Shift of the noise levels at which scores are compared and the critic is trained (published: 5)."""
    lowest_sigma: float = 0.02
    """Lower bound of these noise levels (published: 0.02)."""
    highest_sigma: float = 0.98
    """Upper bound of these noise levels (published: 0.98)."""

    @property
    def guidance(self) -> Guidance:
        """The teacher's."""
        return Guidance.of(self.real_guidance_scale, self.real_audio_guidance_scale)

    def __post_init__(self) -> None:
        """Refuse what does not distil."""
        if self.critic_updates < 1 or self.critic_lora_rank < 0:
            raise ValueError("dmd.critic_updates is at least 1, dmd.critic_lora_rank at least 0")
        if not 0 < self.lowest_sigma < self.highest_sigma < 1:
            raise ValueError("dmd.lowest_sigma and dmd.highest_sigma lie in (0, 1), the first below the second")
        if self.critic_lora_rank and self.teacher != "resident":
            raise ValueError(
                "with dmd.critic_lora_rank the teacher is part of the critic and lies where that does: set dmd.teacher "
                "to resident"
            )


class Dmd:
    """The objective of the stage distill.

    Args:
        student: becomes the result.
        critic: the fake score.
        teacher: the real score.
        config: see `DmdConfig`.
        sigmas: (N,) noise levels of the student's steps, from 1 downwards.
        seed: the training's.
    """

    VALIDATION_SIGMAS = (0.3, 0.6, 0.85)
    """Noise levels at which the teacher judges held-out clips."""

    def __init__(
        self,
        student: TrainedModel,
        critic: TrainedModel,
        teacher: Teacher,
        config: DmdConfig,
        *,
        sigmas: Tensor,
        seed: int,
    ) -> None:
        self.models: Sequence[TrainedModel] = (student, critic)
        self.student = student
        self.critic = critic
        self.teacher = teacher
        self.config = config
        self.sigmas = sigmas
        self.seed = seed
        self.needs_initial = True
        self.forwards = 0.0

    def train_step(self, batches: Sequence[Batch], *, step: int, total_steps: int) -> Averages:
        """See `Objective.train_step`: one update of the critic. In every `critic_updates`-th step, an update of the
        student comes before it.

        Where both are updated, both simulate from the conditions of the same batch, each with noise of its own;
        Self-Forcing draws a batch for each.

        Logs the critic's loss, by noise level too, its gradient's norm and its rate; in steps that update the student
        also the student's loss, mean |g|, normaliser, gradient norm and rate.
        """
        averages = Averages()
        self.forwards = 0.0
        every = self.config.critic_updates
        if step % every == 0:
            update, total_updates = step // every, -(-total_steps // every)
            exit_step = draw_exit_step(self.seed, "generator", update, len(self.sigmas))
            self._update_student(batches, averages, exit_step, update=update, total_updates=total_updates)
            self.forwards += self._forwards_of_student_update(exit_step)
        exit_step = draw_exit_step(self.seed, "critic", step, len(self.sigmas))
        self._update_critic(batches, averages, exit_step, step=step, total_steps=total_steps)
        self.forwards += self._forwards_of_critic_update(exit_step)
        return averages

    @torch.no_grad()
    def validation_loss(self, batch: Batch) -> Tensor:
        """(B,): how far the guided teacher moves the clips that the student makes of held-out samples in all its steps.

        A distillation has no error against data: from the same conditions the student may make another clip than the
        one they were taken from. So its finished clips are noised to fixed levels, and the teacher denoises them. The
        value is mean |x₀ − x₀_real| over predicted frames and levels.

        It falls as long as the teacher finds the clips implausible. After that it says nothing about quality: details
        that the noise hides cannot be guessed and count as errors, so smooth clips have lower values than the teacher's
        own, and the value rises as detail and motion come back. Judge a distillation by its videos; a sudden rise means
        that it has broken down.
        """
        exit_step, predict = len(self.sigmas) - 1, self.student.predict
        x0 = simulate(batch, self.sigmas, phase="validation", exit_step=exit_step, student=predict, last=predict)
        noise = batch.random("validation-score").normal(*x0.shape[1:])
        moves = []
        with self.teacher.present() as teacher:
            model = guided(teacher, batch, self.config.guidance)
            for level in self.VALIDATION_SIGMAS:
                sigmas = torch.full((len(x0),), level, device=x0.device)
                real = predict_x0(model, x0, noise=noise, sigmas=sigmas, clean=batch.clean)
                moves.append(distance_to_real(x0, real, batch.clean))
        return torch.stack(moves).mean(dim=0)

    def _forwards_of_student_update(self, exit_step: int) -> float:
        """Work for each sample, see `Objective.forwards`."""
        before_exit = exit_step
        exit_with_gradient = _FORWARD + _BACKWARD
        teacher = self.config.guidance.num_forwards * _FORWARD
        critic = _FORWARD
        return before_exit + exit_with_gradient + teacher + critic

    def _forwards_of_critic_update(self, exit_step: int) -> float:
        """Work for each sample, see `Objective.forwards`."""
        simulation = exit_step + 1
        # Half of a backward goes into the gradients of the weights, and adapters have hardly any weights.
        backward = _BACKWARD / 2 if self.config.critic_lora_rank else _BACKWARD
        return simulation + _FORWARD + backward

    def _update_student(
        self, batches: Sequence[Batch], averages: Averages, exit_step: int, *, update: int, total_updates: int
    ) -> None:
        for batch in batches:
            result = self._generator_loss(batch, exit_step)
            self.student.backward(result.loss, step=update, total_steps=total_updates)
            _log_student(averages, result, batch.weights)
        averages.add("grad_norm", self.student.grad_norm)
        averages.add("lr", self.student.lr)

    def _generator_loss(self, batch: Batch, exit_step: int) -> GeneratorLoss:
        config, student = self.config, self.student
        x0 = simulate(
            batch,
            self.sigmas,
            phase="generator",
            exit_step=exit_step,
            student=student.predict,
            last=student.velocity,
        )
        noise = batch.random("generator-score").normal(*x0.shape[1:])
        sigmas = self._score_sigmas(batch, "generator")
        with self.teacher.present() as teacher:
            model = guided(teacher, batch, config.guidance)
            real = predict_x0(model, x0.detach(), noise=noise, sigmas=sigmas, clean=batch.clean)
        # A LoRA critic shares the teacher's weights: outside of `present` its adapters are on again.
        model = conditional(self.critic.predict, batch)
        fake = predict_x0(model, x0.detach(), noise=noise, sigmas=sigmas, clean=batch.clean)
        return generator_loss(x0, batch, matching_gradient(x0, real=real, fake=fake, clean=batch.clean))

    def _update_critic(
        self, batches: Sequence[Batch], averages: Averages, exit_step: int, *, step: int, total_steps: int
    ) -> None:
        predict = self.student.predict
        for batch in batches:
            x0 = simulate(batch, self.sigmas, phase="critic", exit_step=exit_step, student=predict, last=predict)
            result = flow_matching_loss(
                self.critic.velocity,
                replace(batch, latents=x0),
                FlowMatchingConfig(shift=self.config.shift),
                sigmas=self._score_sigmas(batch, "critic"),
            )
            self.critic.backward(result.loss, step=step, total_steps=total_steps)
            log_by_noise_level(averages, result, batch.weights, name="critic_loss")
        averages.add("critic_grad_norm", self.critic.grad_norm)
        averages.add("critic_lr", self.critic.lr)

    def _score_sigmas(self, batch: Batch, phase: str) -> Tensor:
        config = self.config
        return draw_score_sigmas(
            batch.random(f"{phase}-level"), shift=config.shift, lowest=config.lowest_sigma, highest=config.highest_sigma
        )


def _log_student(averages: Averages, result: GeneratorLoss, weights: Tensor) -> None:
    """Add each sample's values; fillers are left out."""
    columns = {
        "generator_loss": result.per_sample,
        "gradient_size": result.matching.size,
        "normaliser": result.matching.normaliser,
    }
    for name, values in columns.items():
        for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
            if weight:
                averages.add(name, value)
