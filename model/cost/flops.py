"""Floating-point operations of one forward, counted on the meta device."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from model.codecs.geometry import SPATIAL_COMPRESSION, fills_latents, latent_frames, latent_sides
from model.pretrained.presets import TransformerConfig, build_transformer


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerFlops:
    """Operations of one forward; a multiplication and an addition count as two."""

    backbone: int
    """Everything that Wan2.2 has too."""
    audio: int
    """Audio embedder and audio attention of all blocks."""
    num_tokens: int
    """Tokens of the clip."""

    @property
    def total(self) -> int:
        """All operations of the forward."""
        return self.backbone + self.audio


def count_transformer_flops(
    config: TransformerConfig,
    *,
    num_frames: int,
    height: int,
    width: int,
    num_text_tokens: int = 512,
) -> TransformerFlops:
    """Count the operations of one forward for one clip, without guidance.

    Args:
        config: which network.
        num_frames: pixel frames, 4k + 1.
        height: in pixels, divisible by 16 times the spatial patch (32).
        width: in pixels, likewise.
        num_text_tokens: text tokens, padding included (it is not masked).

    Raises:
        ValueError: a number of frames or a size that has no latents.
    """
    if not fills_latents(num_frames):
        raise ValueError(f"{num_frames} frames: the number must be 4k + 1")
    for name, side, patch in zip(("height", "width"), (height, width), config.patch_size[1:], strict=True):
        if side < 1 or side % (SPATIAL_COMPRESSION * patch):
            raise ValueError(f"{name} {side} is not divisible by {SPATIAL_COMPRESSION * patch}")
    frames, (rows, columns) = latent_frames(num_frames), latent_sides(height, width)
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        build_transformer(config)(
            torch.empty(1, config.in_channels, frames, rows, columns),
            torch.empty(1, frames),
            torch.empty(1, num_text_tokens, config.text_dim),
        )
    by_module = counter.get_flop_counts()
    audio = sum(
        sum(operations.values())
        for module, operations in by_module.items()
        if module.rpartition(".")[2] in {"attn_audio", "audio_embedder"}
    )
    num_tokens = frames * rows * columns // (config.patch_size[1] * config.patch_size[2])
    return TransformerFlops(backbone=counter.get_total_flops() - audio, audio=audio, num_tokens=num_tokens)
