"""How close a decoded video is to another: PSNR, SSIM and, where it is installed, LPIPS.

Letters: T frames.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from skimage.metrics import structural_similarity
from torch import Tensor

from training.objectives.decoder.perceptual import Perceptual

_LEAST_ERROR = 1e-10
"""Mean squared error that counts as none: 106 dB."""


class Fidelity:
    """Compares two videos piece by piece; pixels are in [-1, 1].

    PSNR is that of the whole video's mean squared error, SSIM and LPIPS are means over frames (SSIM: windows of 7 × 7
    pixels, uniform, colours averaged).

    Args:
        perceptual: LPIPS, if it is to be measured.
    """

    def __init__(self, perceptual: Perceptual | None = None) -> None:
        self.perceptual = perceptual
        self.num_frames = 0
        self._squared = self._similarity = self._distance = 0.0

    @torch.no_grad()
    def add(self, decoded: Tensor, reference: Tensor) -> None:
        """Compare the next frames, (1, 3, T, height, width) each."""
        num_frames = decoded.shape[2]
        self.num_frames += num_frames
        self._squared += float((decoded - reference).double().square().mean()) * num_frames
        frames = (rearrange(video[0], "c t h w -> t h w c").cpu().numpy() for video in (decoded, reference))
        for ours, theirs in zip(*frames, strict=True):
            self._similarity += float(structural_similarity(ours, theirs, channel_axis=-1, data_range=2.0))
        if self.perceptual is not None:
            self._distance += float(self.perceptual(decoded, reference)) * num_frames

    def values(self) -> dict[str, float]:
        """`psnr` in dB, `ssim`, and `lpips_<network>`."""
        error = max(self._squared / self.num_frames, _LEAST_ERROR)
        values = {"psnr": 10 * math.log10(4 / error), "ssim": self._similarity / self.num_frames}
        if self.perceptual is not None:
            values[self.perceptual.name] = self._distance / self.num_frames
        return values
