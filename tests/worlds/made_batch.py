"""A batch of random numbers for the small networks of `tests.worlds.networks`, or for no network at all."""

import torch

from tests.worlds.networks import AUDIO, WAN
from training.data.conditioning import Batch


def made_batch(
    clean_frames: tuple[int, ...],
    *,
    channels: int = WAN["in_channels"],
    frames: int = 4,
    numbers: tuple[int, ...] | None = None,
) -> Batch:
    """A batch with a sample for each number in `clean_frames`; `numbers` draw the noise, by default 0, 1, …"""
    generator = torch.Generator().manual_seed(3)
    size = len(clean_frames)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return Batch(
        latents=normal(size, channels, frames, 4, 4),
        clean=torch.stack([torch.arange(frames) < number for number in clean_frames]),
        text=normal(size, 7, WAN["text_dim"]),
        audio=normal(size, frames, AUDIO["audio_window"], AUDIO["audio_dim"]),
        free_text=normal(7, WAN["text_dim"]),
        weights=torch.ones(size),
        numbers=tuple(range(size)) if numbers is None else numbers,
        seed=11,
    )
