"""Encoding and decoding with the full and the efficient autoencoder: by type, and by the layout of their memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from bench.efficiency.measure import psnr_db
from bench.efficiency.model_placement import made_on
from bench.gpu_check.figure import Figure, reason
from bench.gpu_check.measuring import Cost, cost_of, free_memory, relative_error, tf32
from bench.gpu_check.setting import Setting
from model.codecs.vae import StreamingDecoder, encode_video, put_channels_last

NUM_LATENTS: Final = 4
"""Latent frames that are coded; the causal cache is full from the third on."""
NUM_FRAMES: Final = 1 + 4 * (NUM_LATENTS - 1)
"""Their pixel frames."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """How an autoencoder computes."""

    name: str
    dtype: torch.dtype = torch.float32
    tf32: bool = False
    channels_last: bool = False


WAYS: Final = (
    _Way(name="fp32"),
    _Way(name="tf32", tf32=True),
    _Way(name="tf32, channels last", tf32=True, channels_last=True),
    _Way(name="bf16", dtype=torch.bfloat16),
    _Way(name="bf16, channels last", dtype=torch.bfloat16, channels_last=True),
)
"""The first is the reference."""


@torch.no_grad()
def measure(setting: Setting) -> Iterator[Figure]:
    """Decoding and encoding of the smaller size."""
    clip = setting.clips[0]
    _, height, width = clip.latents
    for name, config in (("eVAE", setting.efficient_vae), ("full VAE", setting.full_vae)):
        with made_on(setting.device, torch.float32):
            vae = AutoencoderKLWan(**config).eval()
        latents = torch.randn(1, vae.config.z_dim, NUM_LATENTS, height, width, device=setting.device)
        what = f"{name}, {NUM_LATENTS} latents of {clip.name} decoded"
        yield from _each_way(setting, what, vae, partial(_decoded, latents))
    # The efficient one has the same encoder.
    pixels = torch.rand(1, 3, NUM_FRAMES, clip.height, clip.width, device=setting.device) * 2 - 1
    what = f"{NUM_FRAMES} frames of {clip.name} encoded"
    yield from _each_way(setting, what, vae, partial(_encoded, pixels))


def _decoded(latents: Tensor, vae: AutoencoderKLWan) -> Tensor:
    return StreamingDecoder(vae)(latents)


def _encoded(pixels: Tensor, vae: AutoencoderKLWan) -> Tensor:
    return encode_video(vae, pixels)


def _each_way(
    setting: Setting, what: str, vae: AutoencoderKLWan, code: Callable[[AutoencoderKLWan], Tensor]
) -> Iterator[Figure]:
    """The figures of a piece of work in each way, beside the first."""
    first: _Coded | None = None
    for way in WAYS:
        try:
            coded = _coded(setting, vae, way, code)
        except RuntimeError as error:  # no memory, or no such kernel
            yield Figure(what=f"{what}, {way.name}", missing=reason(error))
            continue
        first = first or coded
        yield Figure(
            what=f"{what}, {way.name}",
            seconds=coded.cost.seconds,
            peak_gb=coded.cost.peak_gb,
            error=relative_error(coded.result, first.result),
            ratio=coded.cost.seconds / first.cost.seconds,
            reference=WAYS[0].name,
            also={"psnr_db": psnr_db(coded.result, first.result)},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Coded:
    cost: Cost
    result: Tensor


def _coded(setting: Setting, vae: AutoencoderKLWan, way: _Way, code: Callable[[AutoencoderKLWan], Tensor]) -> _Coded:
    free_memory(setting.device)
    placed = _placed(vae, way)
    with tf32(allowed=way.tf32):
        return _Coded(cost=cost_of(lambda: code(placed), setting), result=code(placed).cpu())


def _placed(vae: AutoencoderKLWan, way: _Way) -> AutoencoderKLWan:
    """A copy of the autoencoder in a type and layout."""
    placed = copy.deepcopy(vae).to(way.dtype)
    if way.channels_last:
        put_channels_last(placed)
    return placed
