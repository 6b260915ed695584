"""Measures of a narrow decoder and of the wide one that it was distilled from.

Letters: T pixel frames, S side of a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from bench.studies.small_vae import Frames, to_pixels
from model.codecs.geometry import latent_frames
from model.codecs.vae import StreamingDecoder, decode_video, encode_video
from model.cost.cost import decoder_cost
from training.objectives.decoder.crop_decoder import CropDecoder
from training.objectives.decoder.crops import LatentCrop
from training.objectives.decoder.fidelity import Fidelity
from training.objectives.decoder.perceptual import load_perceptual

WARMUPS: Final = (0, 1, 2, 4, 8)
PAPER_FRAMES: Final = 81
"""Pixel frames that the paper's Tab. 1 counts operations for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """The middle frame of one person three times, (3, S, S) each in [-1, 1]."""

    original: Tensor = field(repr=False)
    teacher: Tensor = field(repr=False)
    student: Tensor = field(repr=False)


@torch.no_grad()
def compare_decoders(
    teacher: AutoencoderKLWan, student: AutoencoderKLWan, faces: Sequence[Frames]
) -> tuple[dict[str, dict[str, float | None]], str, list[Shown]]:
    """PSNR, SSIM and, where it is installed, LPIPS over people, all decoded as streams; whether LPIPS was measured; and
    a frame of each person."""
    said: list[str] = []
    perceptual = load_perceptual("auto", "vgg", teacher.device, said.append)
    names = ("student against teacher", "teacher against original", "student against original")
    pairs = {name: Fidelity(perceptual) for name in names}
    shown = []
    for frames in faces:
        original = to_pixels(frames)
        latents = encode_video(teacher, original)
        theirs, ours = StreamingDecoder(teacher)(latents), StreamingDecoder(student)(latents)
        for name, one, other in zip(names, (ours, theirs, ours), (theirs, original, original), strict=True):
            pairs[name].add(one, other)
        middle = [video[0, :, len(frames) // 2] for video in (original, theirs, ours)]
        shown.append(Shown(original=middle[0], teacher=middle[1], student=middle[2]))
    fidelity: dict[str, dict[str, float | None]] = {}
    for name, pair in pairs.items():
        values = pair.values()
        distance = None if perceptual is None else values[perceptual.name]
        fidelity[name] = {"psnr": values["psnr"], "ssim": values["ssim"], "lpips": distance}
    return fidelity, "not measured: the package is not there" if said else "measured (vgg)", shown


@torch.no_grad()
def streaming_error(vae: AutoencoderKLWan, frames: Frames) -> float:
    """Largest difference between a video decoded as a stream, in two calls, and one decoded at once."""
    latents = encode_video(vae, to_pixels(frames))
    half = latents.shape[2] // 2
    stream = StreamingDecoder(vae)
    pieces = torch.cat([stream(latents[:, :, :half]), stream(latents[:, :, half:])], dim=2)
    return float((pieces - decode_video(vae, latents)).abs().max())


@torch.no_grad()
def forgetting(vae: AutoencoderKLWan, frames: Frames) -> dict[str, float]:
    """Error of the last four frames decoded after few warm-up latents instead of all, relative to their spread."""
    latents = encode_video(vae, to_pixels(frames))
    decoder, last = CropDecoder(vae, ()), latents.shape[2] - 1

    def after(warmup: int) -> Tensor:
        piece = LatentCrop(latents=latents[:, :, last - warmup :], num_warmup=warmup, start=(last, 0, 0))
        pixels: Tensor = decoder(piece).pixels
        return pixels[:, :, -1]

    whole = after(last)
    return {str(warmup): float((after(warmup) - whole).square().mean().sqrt() / whole.std()) for warmup in WARMUPS}


def decoder_sizes(
    teacher: dict[str, Any], student: dict[str, Any], *, height: int, width: int
) -> dict[str, list[int] | list[float]]:
    """Parameters of both decoders, and multiply-accumulates for `PAPER_FRAMES` frames, counted on the meta device."""
    with torch.device("meta"):
        both = [AutoencoderKLWan.from_config(config) for config in (teacher, student)]
    return {
        "parameters": [sum(each.numel() for each in vae.decoder.parameters()) for vae in both],
        "macs": [decoder_cost(vae, height, width).flops(latent_frames(PAPER_FRAMES)) / 2 for vae in both],
    }
