"""A small Wan autoencoder, trained for some minutes on drawn faces: a teacher where no weights can be downloaded.

It has the architecture of Wan2.2's at a sixteenth of the width, and its latents are normalised in the same way. Two
things made it poor at first. With 24 people it memorised their colours: its loss fell, but unseen people did not
improve. And AdamW had made little progress after as many steps as there is time for. So it now sees hundreds of people,
first as single pictures, then as videos, and Muon updates all convolutions. PSNR on unseen people after 45 s of one
core: some 19 dB; with AdamW alone 17 dB; with AdamW on 24 people, two whole pieces of video a step, 16.5 dB.

Letters: T pixel frames, S side of a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKLWan
from einops import rearrange
from torch import Tensor

from bench.studies.muon import KernelOptimizer
from model.codecs.levels import pixels_of
from model.codecs.vae import decode_next, empty_cache, wan_vae_config

BASE_DIM, DECODER_BASE_DIM = 8, 16
SIDE: Final = 48
"""Side of the pieces of pictures that are trained on, in pixels."""
PICTURE_SHARE: Final = 0.5
"""Share of the steps, at the beginning, on pictures: they show several times as many people a second, and what changes
over time is learnt easily afterwards."""
NUM_PICTURES, NUM_VIDEOS, VIDEO_FRAMES = 16, 4, 5
SAY_EVERY: Final = 100
_GRID: Final = 16

Frames = npt.NDArray[np.uint8]


def to_pixels(frames: Frames) -> Tensor:
    """Frames (T, S, S, 3) to pixels (1, 3, T, S, S) in [-1, 1]."""
    return pixels_of(rearrange(torch.from_numpy(frames), "t h w c -> 1 c t h w"))


def train_small_vae(takes: Sequence[Frames], *, steps: int, seed: int = 0) -> AutoencoderKLWan:
    """Train an autoencoder to reconstruct pieces of `takes` (5 frames or more each), and measure its latents.

    Prints the error every `SAY_EVERY` steps.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = wan_vae_config() | {"base_dim": BASE_DIM, "decoder_base_dim": DECODER_BASE_DIM}
        vae = AutoencoderKLWan(**config)
    optimizer = KernelOptimizer(vae, steps=steps)
    rng = np.random.default_rng(seed)
    for step in range(steps):
        num_frames, batch = (1, NUM_PICTURES) if step < PICTURE_SHARE * steps else (VIDEO_FRAMES, NUM_VIDEOS)
        pixels = torch.cat([to_pixels(_piece(takes, num_frames, rng)) for _ in range(batch)])
        loss = (_decode(vae, vae.encode(pixels).latent_dist.mode()) - pixels).abs().mean()
        optimizer.step(loss)
        if (step + 1) % SAY_EVERY == 0 or step + 1 == steps:
            print(f"autoencoder: step {step + 1} of {steps}, mean error {float(loss.detach()) / 2:.1%}", flush=True)
    return _with_statistics(vae.eval(), takes)


def _decode(vae: AutoencoderKLWan, raw: Tensor) -> Tensor:
    """As `vae.decode`, but without its clamp, which has no gradient for values beyond black and white."""
    cache = empty_cache(vae.decoder)
    frames = torch.split(raw, 1, dim=2)
    return torch.cat([decode_next(vae, frame, cache, is_first=number == 0) for number, frame in enumerate(frames)], 2)


def _piece(takes: Sequence[Frames], num_frames: int, rng: np.random.Generator) -> Frames:
    take: Frames = takes[int(rng.integers(len(takes)))]
    spare = (len(take) - num_frames, *((side - SIDE) // _GRID for side in take.shape[1:3]))
    frame, row, column = (int(rng.integers(each + 1)) for each in spare)
    top, left = row * _GRID, column * _GRID
    return take[frame : frame + num_frames, top : top + SIDE, left : left + SIDE]


@torch.no_grad()
def _with_statistics(vae: AutoencoderKLWan, takes: Sequence[Frames]) -> AutoencoderKLWan:
    """The same weights, with the mean and standard deviation of their latents in the configuration."""
    whole = [take[: 1 + (len(take) - 1) // 4 * 4] for take in takes[:48]]
    latents = torch.cat([vae.encode(to_pixels(take)).latent_dist.mode()[0].flatten(1) for take in whole], 1)
    statistics = {
        "latents_mean": latents.mean(dim=1).tolist(),
        "latents_std": latents.std(dim=1).clamp(min=1e-3).tolist(),
    }
    measured: AutoencoderKLWan = AutoencoderKLWan.from_config(dict(vae.config) | statistics)
    measured.load_state_dict(vae.state_dict())
    return measured.eval()
