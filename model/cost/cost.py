"""What a preset costs at a size and length: parameters, operations, memory; counted on the meta device."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch.utils.flop_counter import FlopCounterMode

from model.codecs.geometry import latent_frames, latent_sides
from model.codecs.image import CLIP_FRAMES, check_size, size_for_area
from model.codecs.vae import Autoencoder, StreamingDecoder
from model.cost.flops import TransformerFlops, count_transformer_flops
from model.generation.guidance import Guidance
from model.generation.timeline import num_clips
from model.pretrained.assemble import build_components
from model.pretrained.presets import Preset

GIB = 2**30
FPS = 25
CLIP_LATENTS = latent_frames(CLIP_FRAMES)
OVERLAP_LATENTS = 2
MAX_SECONDS: Final = 10**9
"""Thirty years."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PresetCost:
    """Costs of one video."""

    height: int
    """Of the video, in pixels."""
    width: int
    """Of the video, in pixels."""
    num_frames: int
    """Pixel frames of the video."""
    num_clips: int
    """Clips of the video."""
    forwards: int
    """Forwards of the network for one clip: steps, two or three of them with guidance."""
    parameters: dict[str, int]
    """Parameters of each component."""
    forward: TransformerFlops
    """Operations of one forward over one clip."""
    activation_bytes: int
    """Estimate for a block, in bf16: the feed-forward's inner states and eight states of the model's width."""
    decode_flops: int
    """Operations to decode one latent frame (four pixel frames)."""
    cache_bytes: int
    """Causal cache of the streaming decoder, in fp32; the same for every length."""

    def lines(self) -> Iterator[str]:
        """The costs as text."""
        yield f"video        {self.width}x{self.height}, {self.num_frames} frames, {self.num_clips} clips"
        for name, count in self.parameters.items():
            yield f"parameters   {name:<14} {count:>15,}"
        weights = sum(self.parameters.values())
        yield f"parameters   {'all':<14} {weights:>15,}"
        yield f"tokens       {self.forward.num_tokens:,} a clip"
        backbone, audio = self.forward.backbone / 1e12, self.forward.audio / 1e12
        yield f"forward      {backbone:,.3f} TFLOP backbone + {audio:,.3f} TFLOP audio"
        denoising = self.num_clips * self.forwards * self.forward.total / 1e12
        yield f"denoising    {denoising:,.1f} TFLOP: {self.num_clips} clips of {self.forwards} forwards"
        decoding = self.decode_flops * latent_frames(self.num_frames) / 1e12
        yield f"decoding     {decoding:,.1f} TFLOP: {self.decode_flops / 1e12:,.3f} for four frames"
        frames = CLIP_FRAMES * self.height * self.width * 3
        yield f"memory       {2 * weights / GIB:.2f} GiB weights in bf16"
        yield f"memory       {self.activation_bytes / GIB:.2f} GiB activations of a block in bf16 (estimate)"
        yield f"memory       {self.cache_bytes / GIB:.2f} GiB cache of the decoder in fp32"
        yield f"memory       {frames / GIB:.2f} GiB frames of one clip on the host"


def preset_cost(
    preset: Preset,
    *,
    height: int | None,
    width: int | None,
    seconds: float,
    num_steps: int,
    guidance: Guidance,
) -> PresetCost:
    """Work out the cost of a video; without a size, the preset's area at 16:9.

    Raises:
        ValueError: a side that is not divisible by 32, no seconds or more than 10⁹, or no steps.
    """
    if height is None or width is None:
        height, width = size_for_area(16, 9, preset.area)
    check_size(height, width)
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError(f"the speech must last longer than 0 s, and no longer than {MAX_SECONDS:,} s, got {seconds}")
    if num_steps < 1:
        raise ValueError(f"the number of steps must be at least 1, got {num_steps}")
    with torch.device("meta"):
        components = build_components(preset)
    network = preset.transformer
    forward = count_transformer_flops(network, num_frames=CLIP_FRAMES, height=height, width=width)
    block_width = network.ffn_dim + 8 * network.num_attention_heads * network.attention_head_dim
    decoding = decoder_cost(components["vae"], height, width)
    num_frames = math.ceil(seconds * FPS)
    return PresetCost(
        height=height,
        width=width,
        num_frames=num_frames,
        num_clips=num_clips(num_frames, clip_latents=CLIP_LATENTS, overlap_latents=OVERLAP_LATENTS),
        forwards=num_steps * guidance.num_forwards,
        parameters={name: sum(p.numel() for p in module.parameters()) for name, module in components.items()},
        forward=forward,
        activation_bytes=2 * forward.num_tokens * block_width,
        decode_flops=decoding.next_flops,
        cache_bytes=decoding.cache_bytes,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderCost:
    """What it takes to decode latent frames as a stream; a multiplication and an addition count as two."""

    first_flops: int
    """Operations for the latent frame that begins a video (one pixel frame)."""
    next_flops: int
    """Operations for each later latent frame (four pixel frames)."""
    cache_bytes: int
    """Memory of the causal cache in fp32, however long the video is."""

    def flops(self, num_latents: int) -> int:
        """Operations for a video of so many latent frames."""
        return self.first_flops + (num_latents - 1) * self.next_flops


def decoder_cost(vae: Autoencoder, height: int, width: int) -> DecoderCost:
    """Count the operations of a decoder on the meta device, for frames of `height` × `width` pixels."""
    decoder = StreamingDecoder(vae)
    latents = torch.empty(1, vae.config.z_dim, 3, *latent_sides(height, width), device="meta")
    flops = []
    for latent in torch.split(latents, 1, dim=2):
        with FlopCounterMode(display=False) as counter:
            decoder(latent)
        flops.append(int(counter.get_total_flops()))
    return DecoderCost(first_flops=flops[0], next_flops=flops[2], cache_bytes=decoder.cache_bytes)
