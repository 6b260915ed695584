"""Decoder distillation: a narrow decoder learns to decode as the full one does (stage evae; paper, Sec. 3.3).

Both decode the same random pieces of real latents. Encoder and latent space stay the teacher's, so the network and the
codebook need no change.

Letters: B batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from training.data.conditioning import Batch
from training.data.randomness import seed_of
from training.distributed.trained_model import TrainedModel
from training.monitoring.metrics import Averages
from training.objectives.decoder.crop_decoder import CropDecoder, DecodedCrop
from training.objectives.decoder.crops import CropConfig, draw_crops
from training.objectives.decoder.losses import DecoderLoss, DecoderLossConfig, decoder_loss
from training.objectives.decoder.perceptual import Network, Perceptual, Wanted

DECODING: Final = ("decoder.", "post_quant_conv.")
"""What the names of an autoencoder's weights begin with that decode. The others, of encoder and latent space, stay the
teacher's; the maps between features belong to training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderConfig:
    """The decoder that is trained, and how it is compared."""

    decoder_base_dim: int = 64
    """Width of the decoder that is trained; the full one has 256 (paper, Tab. 1: 555.05M parameters become 34.97M)."""
    crop: CropConfig = field(default_factory=CropConfig)
    loss: DecoderLossConfig = field(default_factory=DecoderLossConfig)
    feature_blocks: tuple[int, ...] = (0, 1, 2)
    """Up blocks, numbered from 0, whose outputs are compared; that of the last block is little more than the pixels."""
    lpips: Wanted = "auto"
    """Whether LPIPS is in the loss and measured: `on`, `off`, or `auto`, which uses it if its package and weights are
    there and says so if they are not."""
    lpips_network: Network = "vgg"
    """The network whose features LPIPS compares; its authors suggest `vgg` for a loss."""

    def __post_init__(self) -> None:
        """Refuse what is no decoder."""
        if self.decoder_base_dim < 1:
            raise ValueError(f"decoder_base_dim is at least 1, got {self.decoder_base_dim}")
        if not set(self.feature_blocks) <= set(range(4)):
            raise ValueError(f"feature_blocks are among 0 … 3, got {list(self.feature_blocks)}")


class DecoderDistillation:
    """The objective of the stage evae.

    Args:
        model: the `StudentDecoder` under training.
        student: the autoencoder that its weights belong to.
        teacher: the frozen one.
        config: see `DecoderConfig`.
        perceptual: LPIPS, or None.
        teacher_forwards: what a forward of the teacher costs, in forwards of the student.
    """

    def __init__(
        self,
        model: TrainedModel,
        student: AutoencoderKLWan,
        teacher: AutoencoderKLWan,
        config: DecoderConfig,
        perceptual: Perceptual | None,
        *,
        teacher_forwards: float,
    ) -> None:
        self.models: Sequence[TrainedModel] = (model,)
        self.model = model
        self.student = student
        self.teacher = teacher
        self.config = config
        self.perceptual = perceptual
        self.needs_initial = True
        self.forwards = 3.0 + teacher_forwards
        self._teacher = CropDecoder(teacher, config.feature_blocks)

    def train_step(self, batches: Sequence[Batch], *, step: int, total_steps: int) -> Averages:
        """See `Objective.train_step`; logs the loss, each of its terms, the gradient's norm and the rate."""
        averages = Averages()
        for batch in batches:
            losses = self._compare(batch, self.model.engine)
            loss = torch.stack([each.loss for each in losses])
            self.model.backward((loss * batch.weights).mean(), step=step, total_steps=total_steps)
            for each, weight in zip(losses, batch.weights.tolist(), strict=True):
                if weight:
                    averages.add("loss", float(each.loss.detach()))
                    for name, value in each.terms.items():
                        averages.add(name, value)
        averages.add("grad_norm", self.model.grad_norm)
        averages.add("lr", self.model.lr)
        return averages

    @torch.no_grad()
    def validation_loss(self, batch: Batch) -> Tensor:
        """(B,) losses of one piece of each held-out clip, always the same piece."""
        return torch.stack([each.loss for each in self._compare(batch, self.model.module)])

    def _compare(self, batch: Batch, student: torch.nn.Module) -> list[DecoderLoss]:
        crops = draw_crops(batch, self.config.crop)
        with torch.no_grad():
            targets = [self._teacher(crop) for crop in crops]
        decoded: list[DecodedCrop] = student(crops)
        return [
            decoder_loss(ours, theirs, self.config.loss, self.perceptual)
            for ours, theirs in zip(decoded, targets, strict=True)
        ]


def student_of(teacher: AutoencoderKLWan, decoder_base_dim: int, *, seed: int) -> AutoencoderKLWan:
    """An autoencoder with the teacher's encoder and a decoder of its own width. The decoder is random, except for the
    first convolution after the latents, which has the same shape in both."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "student-decoder"))
        student: AutoencoderKLWan = AutoencoderKLWan.from_config(
            dict(teacher.config) | {"decoder_base_dim": decoder_base_dim}
        )
    missing = student.load_state_dict(
        {name: each for name, each in teacher.state_dict().items() if not name.startswith("decoder.")}, strict=False
    ).missing_keys
    assert all(name.startswith("decoder.") for name in missing)
    return student
