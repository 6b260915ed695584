"""Pixels as networks have them, in [-1, 1], and as files have them: 8-bit levels, 0 … 255."""

import torch
from torch import Tensor


def pixels_of(levels: Tensor) -> Tensor:
    """Levels (...) uint8 as pixels (...) fp32 in [-1, 1]."""
    return levels.float() / 127.5 - 1


def levels_of(pixels: Tensor) -> Tensor:
    """Pixels (...) as the nearest levels (...) uint8; what lies outside of [-1, 1] is cut off."""
    return ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
