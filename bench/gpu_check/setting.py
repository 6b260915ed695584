"""How large everything is that the check measures: full size on a GPU, tiny on a CPU.

Letters: F latent frames, H and W latent sides.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch

from bench.efficiency.model_placement import ModelPlacement
from bench.efficiency.subject import STAND_IN_WIDTHS
from bench.speed.block import BlockBenchConfig
from model.codecs.geometry import latent_frames, latent_sides
from model.codecs.vae import efficient_vae_config, wan_vae_config
from model.pretrained.presets import TransformerConfig, get_preset


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipSize:
    """One of the two sizes at which everything is measured."""

    name: str
    """As it stands in the figures."""
    num_frames: int
    """Pixel frames."""
    height: int
    """In pixels."""
    width: int
    """In pixels."""

    @property
    def latents(self) -> tuple[int, int, int]:
        """F, H and W."""
        return latent_frames(self.num_frames), *latent_sides(self.height, self.width)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Frames, rows and columns of tokens."""
        frames, height, width = self.latents
        return frames, height // 2, width // 2

    @property
    def num_tokens(self) -> int:
        """Tokens of the clip."""
        frames, height, width = self.grid
        return frames * height * width


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What is measured, where and how large."""

    device: torch.device
    """CUDA device or CPU."""
    network: TransformerConfig
    """The transformer."""
    num_text_tokens: int
    """Text tokens, padding included."""
    clips: tuple[ClipSize, ...]
    """The sizes of clips, the smaller first."""
    full_vae: dict[str, Any]
    """Arguments of `AutoencoderKLWan`."""
    efficient_vae: dict[str, Any]
    """The same with the efficient decoder."""
    matmul_side: int
    """Side of the square matrices whose product is the ceiling of all arithmetic."""
    copied_bytes: int
    """Size of the copy that is the ceiling of all moving of memory."""
    training_blocks: tuple[int, int]
    """Two numbers of blocks; the slope between them is what a block costs."""
    zero_blocks: int
    """Blocks of the networks that DeepSpeed trains."""
    codebook: tuple[int, int]
    """Vectors of an overlap and centroids."""
    kmeans: tuple[int, int]
    """Vectors and centroids of a K-Means."""
    compiler: str
    """Backend of `torch.compile`."""
    repeats: int
    """Timed runs, of which the median counts."""

    @property
    def placement(self) -> ModelPlacement:
        """Weights in bf16, as they are used on a GPU."""
        return ModelPlacement(device=self.device, dtype=torch.bfloat16, vae_dtype=torch.bfloat16)

    def block(self, clip: ClipSize) -> BlockBenchConfig:
        """One block of the network on one clip."""
        frames, height, width = clip.grid
        return BlockBenchConfig(
            num_frames=frames,
            height=height,
            width=width,
            num_heads=self.network.num_attention_heads,
            head_dim=self.network.attention_head_dim,
            ffn_dim=self.network.ffn_dim,
            num_text_tokens=self.num_text_tokens,
            audio_window=self.network.audio_window,
            repeats=self.repeats,
            dtype=torch.bfloat16,
            device=str(self.device),
            compiler=self.compiler,
        )

    def with_blocks(self, num_blocks: int) -> TransformerConfig:
        """The network with another number of blocks."""
        return dataclasses.replace(self.network, num_layers=num_blocks)


def full_setting(device: torch.device) -> Setting:
    """The paper's model at the paper's sizes."""
    return Setting(
        device=device,
        network=get_preset("soul-5b").transformer,
        num_text_tokens=512,
        clips=(
            ClipSize(name="720p", num_frames=109, height=704, width=1280),
            ClipSize(name="1080p", num_frames=109, height=1088, width=1920),
        ),
        full_vae=wan_vae_config(),
        efficient_vae=efficient_vae_config(),
        matmul_side=8192,
        copied_bytes=2**32,
        training_blocks=(2, 4),
        zero_blocks=2,
        codebook=(16_320, 40_000),
        kmeans=(1_560_000, 40_000),
        compiler="inductor",
        repeats=3,
    )


def tiny_setting(device: torch.device) -> Setting:
    """Every step at a size that two CPU cores manage in seconds; times say nothing."""
    wide, narrow = STAND_IN_WIDTHS
    common = wan_vae_config() | {"base_dim": wide}
    return Setting(
        device=device,
        network=dataclasses.replace(get_preset("tiny").transformer, num_layers=3),
        num_text_tokens=16,
        # Of one shape: another would be traced again for seconds by everything that is compiled.
        clips=(
            ClipSize(name="64p", num_frames=9, height=64, width=64),
            ClipSize(name="64p again", num_frames=9, height=64, width=64),
        ),
        full_vae=common | {"decoder_base_dim": wide},
        efficient_vae=common | {"decoder_base_dim": narrow},
        matmul_side=256,
        copied_bytes=2**20,
        # Few enough to be quick, and enough apart for the slope to stand out of the noise of a busy CPU.
        training_blocks=(1, 3),
        zero_blocks=1,
        codebook=(64, 100),
        kmeans=(400, 10),
        # Traces as inductor does, so it finds graph breaks too, and takes no time beside that.
        compiler="eager",
        repeats=2,
    )


def build_setting(size: str, device: torch.device) -> Setting:
    """The setting of one of `schedule.SIZES`.

    Raises:
        ValueError: the full size on a CPU, where it would take hours and 60 GB.
    """
    if size == "full" and device.type != "cuda":
        raise ValueError(f"the full size needs a CUDA device, and this is {device}: choose --size tiny")
    return full_setting(device) if size == "full" else tiny_setting(device)
