"""A small Wan autoencoder, trained for a minute or two on drawn faces: a teacher where no weights can be downloaded.

It has the architecture of Wan2.2's at a sixteenth of the width, and its latents are normalised as that one's are.

Letters: T pixel frames, S side of a picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKLWan
from einops import rearrange
from torch import Tensor

from model.vae import decode_next, empty_cache, wan_vae_config

BASE_DIM, DECODER_BASE_DIM = 8, 16
_FRAMES, _BATCH, _LR, _WARMUP = 5, 2, 2e-3, 20

Frames = npt.NDArray[np.uint8]


def to_pixels(frames: Frames) -> Tensor:
    """Frames (T, S, S, 3) to pixels (1, 3, T, S, S) in [-1, 1]."""
    return rearrange(torch.from_numpy(frames), "t h w c -> 1 c t h w").float() / 127.5 - 1


def train_small_vae(takes: Sequence[Frames], *, steps: int, seed: int = 0) -> AutoencoderKLWan:
    """Train an autoencoder to give pieces of `takes` back, and measure the statistics of its latents."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = wan_vae_config() | {"base_dim": BASE_DIM, "decoder_base_dim": DECODER_BASE_DIM}
        vae = AutoencoderKLWan(**config)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=_LR, weight_decay=0)
    rng = np.random.default_rng(seed)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _LR * min(1, (step + 1) / _WARMUP) * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        pixels = torch.cat([to_pixels(_piece(takes, rng)) for _ in range(_BATCH)])
        loss = (_decode(vae, vae.encode(pixels).latent_dist.mode()) - pixels).abs().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
    return _with_statistics(vae.eval(), takes)


def _decode(vae: AutoencoderKLWan, raw: Tensor) -> Tensor:
    """As `vae.decode`, which clamps: no gradient would lead back from beyond black and white."""
    cache = empty_cache(vae.decoder)
    frames = torch.split(raw, 1, dim=2)
    return torch.cat([decode_next(vae, frame, cache, is_first=number == 0) for number, frame in enumerate(frames)], 2)


def _piece(takes: Sequence[Frames], rng: np.random.Generator) -> Frames:
    take: Frames = takes[int(rng.integers(len(takes)))]
    start = int(rng.integers(len(take) - _FRAMES + 1))
    return take[start : start + _FRAMES]


@torch.no_grad()
def _with_statistics(vae: AutoencoderKLWan, takes: Sequence[Frames]) -> AutoencoderKLWan:
    """The same weights under a configuration with the latents' own mean and deviation."""
    latents = torch.cat([vae.encode(to_pixels(take[:17])).latent_dist.mode()[0].flatten(1) for take in takes[:8]], 1)
    statistics = {
        "latents_mean": latents.mean(dim=1).tolist(),
        "latents_std": latents.std(dim=1).clamp(min=1e-3).tolist(),
    }
    measured: AutoencoderKLWan = AutoencoderKLWan.from_config(dict(vae.config) | statistics)
    measured.load_state_dict(vae.state_dict())
    return measured.eval()
