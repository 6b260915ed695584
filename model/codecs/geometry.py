"""Which pixels a latent holds: 16 × 16 a position; the first frame by itself, then four frames a latent frame.

This is the same for Wan2.2's autoencoder, the eVAE and the patch-DCT codec.
"""

from typing import Final

TEMPORAL_COMPRESSION: Final = 4
"""Pixel frames of each latent frame except the first, which holds one."""
SPATIAL_COMPRESSION: Final = 16
"""Pixels along each side of a latent position."""


def latent_frames(num_frames: int) -> int:
    """Latent frames that hold `num_frames` pixel frames: 1 + k for up to 1 + 4k."""
    return 1 + -(-(num_frames - 1) // TEMPORAL_COMPRESSION)


def pixel_frames(num_latents: int) -> int:
    """Pixel frames that so many latent frames hold: 1 + 4k for 1 + k."""
    return 1 + TEMPORAL_COMPRESSION * (num_latents - 1)


def latent_sides(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of latent positions of a picture whose sides, in pixels, are divisible by 16."""
    return height // SPATIAL_COMPRESSION, width // SPATIAL_COMPRESSION


def fills_latents(num_frames: int) -> bool:
    """Whether so many pixel frames are a whole number of latent frames: 1 + 4k."""
    return num_frames >= 1 and num_frames % TEMPORAL_COMPRESSION == 1
