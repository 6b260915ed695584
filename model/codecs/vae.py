"""The autoencoder: configurations, normalised latents, and decoding as a stream of any length.

Letters: B batch, C latent channels (48), F latent frames, T pixel frames, H and W latent sides.
Latents are normalised per channel, (z − mean) / std, everywhere outside this file.
"""

from collections.abc import Iterator
from typing import Any, Final, Protocol, Self, TypeAlias, TypeVar

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, unpatchify
from torch import Tensor, nn

from model.codecs.patch_dct import PatchDCTCodec

Autoencoder: TypeAlias = AutoencoderKLWan | PatchDCTCodec
AnyAutoencoder = TypeVar("AnyAutoencoder", AutoencoderKLWan, PatchDCTCodec)
CausalCache: TypeAlias = list[Tensor | str | None]
"""What the causal convolutions of a Wan decoder keep of earlier frames."""

# Statistics of Wan2.2's 48 latent channels, from its published configuration.
_WAN_LATENTS_MEAN: Final = (
    *(-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891),
    *(0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502),
    *(-0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723),
    *(-0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667),
)
_WAN_LATENTS_STD: Final = (
    *(0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901),
    *(0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659),
    *(0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944),
    *(0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744),
)


def wan_vae_config() -> dict[str, Any]:
    """Arguments of `AutoencoderKLWan` for Wan2.2-TI2V-5B: encoder 149.6M, decoder 555.0M parameters."""
    return {
        "base_dim": 160,
        "decoder_base_dim": 256,
        "z_dim": 48,
        "dim_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
        "attn_scales": [],
        "temperal_downsample": [False, True, True],
        "dropout": 0.0,
        "latents_mean": list(_WAN_LATENTS_MEAN),
        "latents_std": list(_WAN_LATENTS_STD),
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_temporal": 4,
        "scale_factor_spatial": 16,
    }


def efficient_vae_config() -> dict[str, Any]:
    """The eVAE of the paper's Tab. 1: Wan2.2's autoencoder with a decoder of 35.0M parameters.

    Encoder and latent space are the same, so the network and the codebook need no change.
    """
    return wan_vae_config() | {"decoder_base_dim": 64}


def vae_dtype(name: str, device: str | torch.device) -> torch.dtype:
    """The type that an autoencoder computes in: `bfloat16`, `float32`, or `auto` for what suits the device.

    That is bfloat16 on a CUDA device and float32 elsewhere. Measured with Wan2.2's autoencoder on an H200, bfloat16
    takes 0.08 of float32's time to decode and 0.13 to encode, and comes within 52.4 and 58.6 dB of it (PSNR).
    """
    if name == "auto":
        name = "bfloat16" if torch.device(device).type == "cuda" else "float32"
    dtype: torch.dtype = {"bfloat16": torch.bfloat16, "float32": torch.float32}[name]
    return dtype


def lay_out(vae: AnyAutoencoder, device: str | torch.device, dtype: torch.dtype) -> AnyAutoencoder:
    """Put an autoencoder, in place, on a device in a type, its kernels in the order that suits the device.

    On a CUDA device their channels lie innermost, and so do those of all that is computed, which saves copies: decoding
    704×1280 takes 9.8 GB instead of 19.4 (measured on an H200).
    """
    # `Module.to`: diffusers' own warns that single modules may have to stay in float32, of which these have none.
    nn.Module.to(vae, device, dtype)
    if torch.device(device).type == "cuda":
        put_channels_last(vae)
    return vae


def put_channels_last(module: nn.Module) -> None:
    """Let the channels of all convolutions' kernels lie innermost, in place."""
    for parameter in module.parameters():
        layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(parameter.ndim)
        if layout is not None:
            parameter.data = parameter.data.contiguous(memory_format=layout)


@torch.no_grad()
def encode_video(vae: Autoencoder, pixels: Tensor) -> Tensor:
    """Encode pixels to normalised latents, the mode of the posterior.

    Args:
        vae: a Wan autoencoder or the patch-DCT codec.
        pixels: (B, 3, T, 16H, 16W) in [-1, 1], T = 1 + 4k.

    Returns:
        (B, C, 1 + k, H, W) fp32.
    """
    if pixels.shape[2] % vae.config.scale_factor_temporal != 1:
        raise ValueError(f"a video has 1 + 4k frames to be encoded, got {pixels.shape[2]}")
    (posterior,) = vae.encode(pixels.to(vae.device, vae.dtype), return_dict=False)
    latents: Tensor = posterior.mode().float()
    mean, std = latent_statistics(vae)
    return (latents - mean) / std


@torch.no_grad()
def decode_video(vae: Autoencoder, latents: Tensor) -> Tensor:
    """Decode normalised latents (B, C, F, H, W) at once to (B, 3, 1 + 4(F−1), 16H, 16W) in [-1, 1], fp32."""
    mean, std = latent_statistics(vae)
    raw = latents.to(vae.device).float() * std + mean
    (pixels,) = vae.decode(raw.to(vae.dtype), return_dict=False)
    decoded: Tensor = pixels.float()
    return decoded


def latent_statistics(vae: Autoencoder) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of raw latents, (1, C, 1, 1, 1) fp32 each, on the autoencoder's device."""
    mean = torch.tensor(vae.config.latents_mean, device=vae.device, dtype=torch.float32)
    std = torch.tensor(vae.config.latents_std, device=vae.device, dtype=torch.float32)
    return mean.reshape(1, -1, 1, 1, 1), std.reshape(1, -1, 1, 1, 1)


class WanDecoding(Protocol):
    """The half of `AutoencoderKLWan` that decodes."""

    post_quant_conv: nn.Module
    decoder: nn.Module
    config: Any


def decode_next(vae: WanDecoding, raw: Tensor, cache: CausalCache, *, is_first: bool) -> Tensor:
    """Decode one more latent frame of a video with a Wan decoder; a gradient can flow through it.

    Args:
        vae: what decodes; `AutoencoderKLWan`'s own cache is not touched.
        raw: (B, C, 1, H, W), not normalised.
        cache: from `empty_cache`, or as the frame before left it; changed in place.
        is_first: whether the video begins here.

    Returns:
        (B, 3, 1 or 4, 16H, 16W), not clamped.
    """
    pixels: Tensor = vae.decoder(vae.post_quant_conv(raw), feat_cache=cache, feat_idx=[0], first_chunk=is_first)
    if vae.config.patch_size is not None:
        pixels = unpatchify(pixels, patch_size=vae.config.patch_size)
    return pixels


def empty_cache(decoder: nn.Module) -> CausalCache:
    """The cache of a Wan decoder before the first frame."""
    return [None] * sum(isinstance(module, WanCausalConv3d) for module in decoder.modules())


class StreamingDecoder:
    """Decode latent frames as they come: one in, four pixel frames out (first: one), in constant memory.

    The causal cache of the decoder's convolutions is kept from call to call, so a video decoded clip by clip
    equals the video decoded at once, without a seam. (The stock `decode` clears its cache, and concatenates
    the frames in quadratic time.)
    """

    def __init__(self, vae: Autoencoder) -> None:
        self.vae = vae
        self.reset()

    def reset(self) -> Self:
        """Forget the video so far: the next latent frame is the first of a new one."""
        self._is_first = True
        self._cache = empty_cache(self.vae.decoder) if isinstance(self.vae, AutoencoderKLWan) else []
        return self

    @torch.no_grad()
    def frames(self, latents: Tensor) -> Iterator[Tensor]:
        """Pixels (B, 3, 1 or 4, 16H, 16W) in [-1, 1] of each frame of `latents` (B, C, F, H, W), in turn."""
        mean, std = latent_statistics(self.vae)
        for latent in torch.split(latents, 1, dim=2):
            raw = latent.to(self.vae.device).float() * std + mean
            pixels = self._decode(raw.to(self.vae.dtype))
            self._is_first = False
            yield pixels.float()

    def __call__(self, latents: Tensor) -> Tensor:
        """All pixels of `latents` (B, C, F, H, W): (B, 3, T, 16H, 16W) in [-1, 1], fp32."""
        return torch.cat(list(self.frames(latents)), dim=2)

    @property
    def cache_bytes(self) -> int:
        """Memory of the causal cache: none for the patch-DCT codec, constant from the third latent frame on."""
        return sum(cached.nbytes for cached in self._cache if isinstance(cached, Tensor))

    def _decode(self, raw: Tensor) -> Tensor:
        vae = self.vae
        if isinstance(vae, PatchDCTCodec):
            frames: Tensor = vae.decode_latent(raw, first=self._is_first)
            return frames
        hook = getattr(vae, "_hf_hook", None)
        if hook is not None:
            # Offloading moves the model to the device when `decode` is called, which does not happen here.
            hook.pre_forward(vae)
        return decode_next(vae, raw, self._cache, is_first=self._is_first).clamp(-1, 1)
