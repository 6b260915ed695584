"""The distance between what the student decodes and what the teacher decodes.

Letters: T pixel frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from training.objectives.decoder.crop_decoder import DecodedCrop
from training.objectives.decoder.perceptual import Perceptual


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderLossConfig:
    """The weight of each term. The paper gives only the architecture; these are ours."""

    pixel_weight: float = 1.0
    """Weight of the Charbonnier distance of pixels."""
    feature_weight: float = 0.1
    """Weight of the relative squared distance of features; 0 leaves the term out."""
    perceptual_weight: float = 0.1
    """Weight of LPIPS, where it is installed."""
    charbonnier: float = 1e-3
    """ε of √(d² + ε²): differences far below ε count squared, those far above it as they are."""

    def __post_init__(self) -> None:
        """Refuse what trains nothing."""
        if self.pixel_weight <= 0 or min(self.feature_weight, self.perceptual_weight) < 0 or self.charbonnier <= 0:
            raise ValueError(
                "pixel_weight and charbonnier are above 0, feature_weight and perceptual_weight at least 0"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderLoss:
    """The loss of one piece."""

    loss: Tensor = field(repr=False)
    """Scalar, to be differentiated."""
    terms: dict[str, float]
    """Each term by its name, before its weight."""


def decoder_loss(
    student: DecodedCrop, teacher: DecodedCrop, config: DecoderLossConfig, perceptual: Perceptual | None
) -> DecoderLoss:
    """Compare what both made of a piece; the student's features already have the teacher's channels."""
    # Videos show the teacher's pixels clamped to [-1, 1], so the student need not follow them beyond that.
    target = teacher.pixels.clamp(-1, 1)
    terms = {"pixel_loss": charbonnier(student.pixels, target, config.charbonnier)}
    weights = {"pixel_loss": config.pixel_weight}
    if config.feature_weight:
        terms["feature_loss"] = feature_distance(student.features, teacher.features)
        weights["feature_loss"] = config.feature_weight
    if perceptual is not None and config.perceptual_weight:
        terms["perceptual_loss"] = perceptual(student.pixels, target)
        weights["perceptual_loss"] = config.perceptual_weight
    loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
    return DecoderLoss(loss=loss, terms={name: float(term.detach()) for name, term in terms.items()})


def charbonnier(pixels: Tensor, target: Tensor, epsilon: float) -> Tensor:
    """Mean of √(d² + ε²) − ε: the absolute difference, smooth at 0."""
    return ((pixels - target).square() + epsilon**2).sqrt().mean() - epsilon


def feature_distance(projected: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Mean over blocks of the squared distance relative to the target's mean square: 1 for features that are all 0."""
    distances = [
        (ours - theirs).square().mean() / theirs.square().mean().clamp(min=1e-12)
        for ours, theirs in zip(projected, target, strict=True)
    ]
    return torch.stack(distances).mean()
