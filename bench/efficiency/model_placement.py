"""Where the measured model lies, and whether there is room for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKLWan

from bench.efficiency.live_memory import LiveMemory
from bench.efficiency.measure import GIB, free_memory_bytes, weight_bytes
from model.codecs.geometry import latent_frames, latent_sides
from model.codecs.vae import StreamingDecoder
from model.network.transformer import SoulTransformer3DModel
from model.pretrained.presets import TransformerConfig, build_transformer

WORKSPACE = 1.2
"""Allowance for the second autoencoder and for what operations allocate within themselves (our choice)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelPlacement:
    """Where the model lies, and in which types."""

    device: torch.device
    """CUDA device or CPU."""
    dtype: torch.dtype
    """Of the network (modulation and norms stay fp32)."""
    vae_dtype: torch.dtype
    """Of the autoencoders."""


def usable_device(name: str | None) -> torch.device:
    """The device of this name, or by default the GPU where there is one.

    Raises:
        ValueError: it is not there, or of another kind than CUDA and CPU.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name}: {str(error).partition(chr(10))[0]}") from error
    if device.type not in {"cuda", "cpu"}:
        raise ValueError(f"--device {name}: choose cuda or cpu")
    return device


@contextmanager
def made_on(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Modules built inside are made on `device` in `dtype` at once: the 5B model never lies in the host's memory."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def random_transformer(config: TransformerConfig, placement: ModelPlacement) -> SoulTransformer3DModel:
    """A network with random weights, made on its device; what has to be fp32 is."""
    with made_on(placement.device, placement.dtype):
        transformer = build_transformer(config)
    for name, parameter in transformer.named_parameters():
        if not set(transformer._keep_in_fp32_modules).isdisjoint(name.split(".")):
            parameter.data = parameter.data.float()
    transformer.eval()
    return transformer


@torch.no_grad()
def check_memory(
    network: TransformerConfig, vae: dict[str, Any], placement: ModelPlacement, clip: tuple[int, int, int]
) -> None:
    """Raise a ValueError if the device cannot hold the weights and the activations of network or decoder.

    The larger activations count. The decoder's are counted on the meta device; the network's are estimated from one
    block, as the feed-forward layer's inner states and eight tensors of the model's width.

    Args:
        network: configuration of the network.
        vae: arguments of `AutoencoderKLWan`.
        placement: where both would lie.
        clip: frames, height and width in pixels.
    """
    num_frames, height, width = clip
    with made_on(torch.device("meta"), placement.dtype):
        transformer = build_transformer(network)
    with made_on(torch.device("meta"), placement.vae_dtype):
        autoencoder = AutoencoderKLWan(**vae).eval()
    weights = weight_bytes(transformer, autoencoder)
    tokens = latent_frames(num_frames) * (height // 32) * (width // 32)
    block = tokens * (network.ffn_dim + 8 * network.num_attention_heads * network.attention_head_dim)
    latents = torch.empty(1, network.in_channels, 4, *latent_sides(height, width), device="meta")
    with LiveMemory() as decoding:
        for pixels in StreamingDecoder(autoencoder).frames(latents):
            del pixels
    needed = WORKSPACE * (weights + max(block * placement.dtype.itemsize, decoding.peak_bytes))
    there = free_memory_bytes(placement.device)
    if needed > there:
        raise ValueError(
            f"{width}x{height} needs about {needed / GIB:.0f} GiB of memory ({weights / GIB:.1f} GiB of it weights), "
            f"{placement.device} has {there / GIB:.1f} GiB free: choose a smaller --size, or another device"
        )
