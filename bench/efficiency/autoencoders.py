"""Tab. 1: parameters, operations and decoding time of the full and the efficient autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.efficiency.measure import median_seconds
from bench.efficiency.results import AutoencoderRow
from bench.efficiency.subject import MeasuredVae
from model.codecs.geometry import latent_frames, latent_sides, pixel_frames
from model.codecs.patch_dct import PatchDCTCodec
from model.codecs.vae import Autoencoder, StreamingDecoder, encode_video

PAPER_CLIP = (81, 720, 1280)
"""Frames, height and width of the operations in the paper's Tab. 1 (the frames are derived, 720×1280 is stated)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderCost:
    """What an autoencoder takes, counted on the meta device."""

    encoder_parameters: int
    """Of the encoder."""
    decoder_parameters: int
    """Of the decoder."""
    encoder_macs: float
    """Multiply-accumulates to encode a clip."""
    decoder_macs: float
    """Multiply-accumulates to decode it."""


@torch.no_grad()
def count_autoencoder(vae: type[Autoencoder], config: dict[str, Any], clip: tuple[int, int, int]) -> AutoencoderCost:
    """Count parameters, and the operations for a clip of (frames, height, width), sides divisible by 16."""
    num_frames, height, width = clip
    with torch.device("meta"):
        empty = vae.from_config(config)
    num_latents, counted = latent_frames(num_frames), min(latent_frames(num_frames), 3)
    # From the third latent frame on the causal cache is full and each one costs the same.
    encoding = [0.0, *(_encode_flops(empty, latents, height, width) for latents in range(1, counted + 1))]
    decoding = [0.0, *(_decode_flops(empty, latents, height, width) for latents in range(1, counted + 1))]
    encode, decode = (flops[-1] + (num_latents - counted) * (flops[-1] - flops[-2]) for flops in (encoding, decoding))
    if isinstance(empty, PatchDCTCodec):
        # It uses one matrix in both directions; what mends the pictures comes after it.
        encoder, decoder = empty.basis.numel(), _num_parameters(empty)
    else:
        encoder, decoder = _num_parameters(empty.encoder), _num_parameters(empty.decoder)
    return AutoencoderCost(
        encoder_parameters=encoder,
        decoder_parameters=decoder,
        encoder_macs=encode / 2,
        decoder_macs=decode / 2,
    )


def compare_autoencoders(
    vaes: tuple[MeasuredVae, ...], timed_clip: tuple[int, int, int], *, warmup: int, repeats: int
) -> tuple[AutoencoderRow, ...]:
    """Count each autoencoder at the paper's clip, and time its decoder on `timed_clip` (frames, height, width)."""
    rows: list[AutoencoderRow] = []
    for measured in vaes:
        cost = count_autoencoder(type(measured.vae), dict(measured.vae.config), PAPER_CLIP)
        seconds = time_decoder(measured.vae, timed_clip, warmup=warmup, repeats=repeats)
        rows.append(
            AutoencoderRow(
                name=measured.name,
                weights=measured.weights,
                encoder_parameters=cost.encoder_parameters,
                decoder_parameters=cost.decoder_parameters,
                counted_at="x".join(map(str, PAPER_CLIP)),
                encoder_macs=cost.encoder_macs,
                decoder_macs=cost.decoder_macs,
                timed_at="x".join(map(str, timed_clip)),
                decode_s=seconds,
                decode_speedup=(rows[0].decode_s if rows else seconds) / seconds,
            )
        )
    return tuple(rows)


@torch.no_grad()
def time_decoder(vae: Autoencoder, clip: tuple[int, int, int], *, warmup: int, repeats: int) -> float:
    """Median time to decode a clip of (frames, height, width) as a stream whose pixels are discarded."""
    num_frames, height, width = clip
    shape = (1, vae.config.z_dim, latent_frames(num_frames), *latent_sides(height, width))
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(vae.device)
    return median_seconds(lambda: run_decoder(vae, latents), vae.device, warmup=warmup, repeats=repeats)


def run_decoder(vae: Autoencoder, latents: torch.Tensor) -> None:
    """Decode normalised latents (B, C, F, H, W) as a stream and discard the pixels."""
    for pixels in StreamingDecoder(vae).frames(latents):
        del pixels


def _encode_flops(vae: Autoencoder, num_latents: int, height: int, width: int) -> int:
    pixels = torch.empty(1, 3, pixel_frames(num_latents), height, width, device="meta")
    with FlopCounterMode(display=False) as counter:
        encode_video(vae, pixels)
    return int(counter.get_total_flops())


def _decode_flops(vae: Autoencoder, num_latents: int, height: int, width: int) -> int:
    latents = torch.empty(1, vae.config.z_dim, num_latents, *latent_sides(height, width), device="meta")
    with FlopCounterMode(display=False) as counter:
        run_decoder(vae, latents)
    return int(counter.get_total_flops())


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
