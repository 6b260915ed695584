"""Encoding and decoding with the full and the efficient autoencoder: by type, and by the layout of their memory."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from bench.efficiency.autoencoders import run_decoder
from bench.efficiency.model_placement import made_on
from bench.gpu_check.figure import Figure, reason
from bench.gpu_check.measuring import Cost, cost_of, free_memory, relative_error, tf32
from bench.gpu_check.setting import ClipSize, Setting
from model.codecs.vae import StreamingDecoder, encode_video

NUM_LATENTS: Final = 4
"""Latent frames that are coded; the causal cache is full from the third on."""
NUM_FRAMES: Final = 1 + 4 * (NUM_LATENTS - 1)
"""Their pixel frames."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Precision:
    name: str
    dtype: torch.dtype
    tf32: bool


PRECISIONS: Final = (
    _Precision(name="fp32", dtype=torch.float32, tf32=False),
    _Precision(name="tf32", dtype=torch.float32, tf32=True),
    _Precision(name="bf16", dtype=torch.bfloat16, tf32=False),
)


@torch.no_grad()
def measure(setting: Setting) -> Iterator[Figure]:
    """Decoding and encoding of the first size; errors and ratios are against fp32 in the usual layout."""
    clip = setting.clips[0]
    for name, config in (("eVAE", setting.efficient_vae), ("full VAE", setting.full_vae)):
        with made_on(setting.device, torch.float32):
            vae = AutoencoderKLWan(**config).eval()
        yield from _decoding(setting, clip, name, vae)
        if config is setting.full_vae:  # the efficient one has the same encoder
            yield from _encoding(setting, clip, vae)
        del vae
        free_memory(setting.device)


def _decoding(setting: Setting, clip: ClipSize, name: str, vae: AutoencoderKLWan) -> Iterator[Figure]:
    _, height, width = clip.latents
    latents = torch.randn(1, vae.config.z_dim, NUM_LATENTS, height, width, device=setting.device)
    exact: dict[str, Any] = {}
    for precision, channels_last in _ways():
        way = _described(precision, channels_last=channels_last)
        what = f"{name}, {NUM_LATENTS} latents of {clip.name} decoded, {way}"
        try:
            placed = _placed(vae, precision, channels_last=channels_last)
            with tf32(allowed=precision.tf32):
                cost = cost_of(partial(run_decoder, placed, latents), setting)
                pixels = StreamingDecoder(placed)(latents).cpu()
        except RuntimeError as error:  # no memory, or no such kernel
            yield Figure(what=what, missing=reason(error))
            continue
        yield _figure(what, cost, pixels, exact, setting)


def _encoding(setting: Setting, clip: ClipSize, vae: AutoencoderKLWan) -> Iterator[Figure]:
    pixels = torch.rand(1, 3, NUM_FRAMES, clip.height, clip.width, device=setting.device) * 2 - 1
    exact: dict[str, Any] = {}
    for precision, channels_last in _ways():
        way = _described(precision, channels_last=channels_last)
        what = f"{NUM_FRAMES} frames of {clip.name} encoded, {way}"
        try:
            placed = _placed(vae, precision, channels_last=channels_last)
            with tf32(allowed=precision.tf32):
                cost = cost_of(partial(encode_video, placed, pixels), setting)
                latents = encode_video(placed, pixels).cpu()
        except RuntimeError as error:
            yield Figure(what=what, missing=reason(error))
            continue
        yield _figure(what, cost, latents, exact, setting)


def _figure(what: str, cost: Cost, result: Tensor, exact: dict[str, Any], setting: Setting) -> Figure:
    exact.setdefault("seconds", cost.seconds)
    exact.setdefault("result", result)
    free_memory(setting.device)
    deviation = float((result - exact["result"]).square().mean())
    signal = float(exact["result"].max() - exact["result"].min())
    return Figure(
        what=what,
        seconds=cost.seconds,
        peak_gb=cost.peak_gb,
        error=relative_error(result, exact["result"]),
        ratio=cost.seconds / exact["seconds"],
        reference="fp32",
        also={"psnr_db": None if not deviation else round(10 * math.log10(signal**2 / deviation), 1)},
    )


def _ways() -> list[tuple[_Precision, bool]]:
    fp32, *others = PRECISIONS
    return [(fp32, False), *((precision, channels_last) for precision in others for channels_last in (False, True))]


def _described(precision: _Precision, *, channels_last: bool) -> str:
    return f"{precision.name}{', channels last' if channels_last else ''}"


def _placed(vae: AutoencoderKLWan, precision: _Precision, *, channels_last: bool) -> AutoencoderKLWan:
    """A copy of the autoencoder in a type and layout."""
    placed = copy.deepcopy(vae).to(precision.dtype)
    if channels_last:
        for parameter in placed.parameters():
            _put_channels_last(parameter)
    return placed


def _put_channels_last(parameter: nn.Parameter) -> None:
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(parameter.ndim)
    if layout is not None:
        parameter.data = parameter.data.contiguous(memory_format=layout)
