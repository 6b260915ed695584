"""A Wan decoder compiled with `torch.compile`, its causal cache kept.

Letters: B batch, C channels, T frames, H and W sides.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import CACHE_T, WanResample
from einops import rearrange
from torch import Tensor

from model.codecs.vae import Autoencoder, CausalCache


def compile_decoder(vae: Autoencoder, *, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile the decoder as one function; `StreamingDecoder` and `vae.decode` use it from then on.

    It compiles when it first runs on a size, three times, as the causal cache fills: for the first latent frame, for
    the second, and for all later ones. The patch-DCT codec, which is a product of matrices, stays as it is.

    Args:
        vae: changed in place.
        backend: of `torch.compile`.
    """
    if not isinstance(vae, AutoencoderKLWan):
        return
    for module in vae.decoder.modules():
        if isinstance(module, WanResample) and module.mode == "upsample3d":
            module.forward = MethodType(_upsample, module)
    vae.decoder.compile(fullgraph=True, dynamic=False, backend=backend)


def is_compiled(vae: Autoencoder) -> bool:
    """Whether `compile_decoder` has compiled it."""
    return isinstance(vae, AutoencoderKLWan) and vae.decoder._compiled_call_impl is not None


def _upsample(module: WanResample, x: Tensor, feat_cache: CausalCache, feat_idx: list[int]) -> Tensor:
    """(B, C, T, H, W) to (B, C, 2T, 2H, 2W) as `WanResample.forward` does with a cache, T only from the second call on.

    That one compares the cached frames with the word that stands for them at first, which torch 2.11 cannot compile.
    """
    place = feat_idx[0]
    cached = feat_cache[place]
    if not isinstance(cached, Tensor):
        doubled: Tensor = WanResample.forward(module, x, feat_cache, feat_idx)
        return doubled
    recent = x[:, :, -CACHE_T:].clone()
    if recent.shape[2] < CACHE_T:
        recent = torch.cat([cached[:, :, -1:], recent], dim=2)
    x = rearrange(module.time_conv(x, cached), "b (two c) t h w -> (b t two) c h w", two=2)
    feat_cache[place], feat_idx[0] = recent, place + 1
    larger: Tensor = rearrange(module.resample(x), "(b t) c h w -> b c t h w", b=recent.shape[0])
    return larger
