"""The decoding half of a Wan autoencoder, as training runs it: on pieces of clips, with the features of its blocks.

Letters: C latent channels, F latent frames, T pixel frames, H and W latent sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from model.codecs.vae import decode_next, empty_cache, latent_statistics
from training.objectives.decoder.crops import LatentCrop


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedCrop:
    """What a decoder makes of a piece."""

    pixels: Tensor = field(repr=False)
    """(1, 3, T, 16H, 16W), not clamped; without the pixels of the warm-up."""
    features: tuple[Tensor, ...] = field(repr=False)
    """Output of each watched block, (1, channels, frames, height, width)."""


class CropDecoder(nn.Module):
    """Decoder and post-quantisation of an autoencoder, shared with it.

    Args:
        vae: the autoencoder that the weights belong to.
        blocks: numbers of the decoder's up blocks whose outputs are kept.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, vae: AutoencoderKLWan, blocks: Sequence[int]) -> None:
        super().__init__()
        self.post_quant_conv = vae.post_quant_conv
        self.decoder = vae.decoder
        self.config = vae.config
        self.watched = [self.decoder.up_blocks[block] for block in blocks]
        mean, std = latent_statistics(vae)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, crop: LatentCrop) -> DecodedCrop:
        """Decode a piece; no gradient flows through its warm-up."""
        cache = empty_cache(self.decoder)
        raw = torch.split(crop.latents * self.std + self.mean, 1, dim=2)
        with torch.no_grad():
            for number, latent in enumerate(raw[: crop.num_warmup]):
                decode_next(self, latent, cache, is_first=number == 0)
        seen: list[list[Tensor]] = [[] for _ in self.watched]
        pixels = []
        with ExitStack() as stack:
            for block, outputs in zip(self.watched, seen, strict=True):
                stack.enter_context(block.register_forward_hook(_keep_in(outputs)))
            for number, latent in enumerate(raw[crop.num_warmup :]):
                pixels.append(decode_next(self, latent, cache, is_first=crop.num_warmup + number == 0))
        return DecodedCrop(
            pixels=torch.cat(pixels, dim=2), features=tuple(torch.cat(outputs, dim=2) for outputs in seen)
        )


class StudentDecoder(nn.Module):
    """The network under training: a narrow decoder, and maps from its features to those of the teacher.

    The maps, one matrix for each watched block, belong to training and are not part of the result.

    Args:
        student: the autoencoder whose decoder is trained.
        teacher: the autoencoder whose decoder it is to equal.
        blocks: up blocks whose features are compared.
    """

    def __init__(self, student: AutoencoderKLWan, teacher: AutoencoderKLWan, blocks: Sequence[int]) -> None:
        super().__init__()
        self.decoding = CropDecoder(student, blocks)
        self.projections = nn.ModuleList(
            nn.Conv3d(_width(student, block), _width(teacher, block), kernel_size=1) for block in blocks
        )

    def forward(self, crops: Sequence[LatentCrop]) -> list[DecodedCrop]:
        """Decode pieces one by one, because their warm-ups differ in length. Features have the teacher's channels."""
        decoded = [self.decoding(crop) for crop in crops]
        return [
            DecodedCrop(
                pixels=each.pixels,
                features=tuple(
                    project(feature) for project, feature in zip(self.projections, each.features, strict=True)
                ),
            )
            for each in decoded
        ]


def _width(vae: AutoencoderKLWan, block: int) -> int:
    channels: int = vae.decoder.up_blocks[block].resnets[-1].out_dim
    return channels


def _keep_in(outputs: list[Tensor]) -> Callable[[nn.Module, object, Tensor], None]:
    def keep(_block: nn.Module, _inputs: object, output: Tensor) -> None:
        outputs.append(output)

    return keep
