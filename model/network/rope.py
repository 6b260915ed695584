"""Rotary position embedding over time, height and width, as Wan2.2 uses it.

Letters: F latent frames, S tokens of a latent frame (row-major over height and width), d channels of a head.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

THETA = 10_000.0

RotaryTables = tuple[Tensor, Tensor]
"""Cosines and sines, each `(F, S, 1, d / 2)` fp32; inside the blocks `(F·S, 1, d / 2)`."""


class RotaryEmbedding(nn.Module):
    """Cosine and sine tables for a grid of tokens; a head's channels are split over time, height and width.

    The tables are computed again in every forward: they are cheap, and a buffer would be cast to bf16 by `.to()`,
    which spoils positions beyond 256.

    Args:
        head_dim: channels of a head; height and width take `2 · (head_dim // 6)` each, time the rest.
        max_seq_len: largest size of each axis, in tokens.
    """

    def __init__(self, head_dim: int, max_seq_len: int) -> None:
        super().__init__()
        spatial_dim = 2 * (head_dim // 6)
        self.axis_dims = (head_dim - 2 * spatial_dim, spatial_dim, spatial_dim)
        self.max_seq_len = max_seq_len

    def forward(self, num_frames: int, height: int, width: int, device: torch.device) -> RotaryTables:
        """Return the tables of a `num_frames × height × width` grid of tokens, each `(F, S, 1, d / 2)`, fp32.

        Raises:
            ValueError: an axis is longer than `max_seq_len`.
        """
        sizes = (num_frames, height, width)
        if max(sizes) > self.max_seq_len:
            raise ValueError(f"a grid of {sizes} tokens exceeds the longest axis of {self.max_seq_len}")
        # Angles in fp64 on the CPU, as the released weights were trained; some devices have no fp64.
        axes = [_angles(size, dim) for size, dim in zip(sizes, self.axis_dims, strict=True)]
        cos, sin = (_grid([table(axis).float().to(device) for axis in axes]) for table in (torch.cos, torch.sin))
        return cos, sin


def apply_rotary(states: Tensor, tables: RotaryTables) -> Tensor:
    """Rotate neighbouring channel pairs of `(B, F·S, heads, d)`; the arithmetic and the result are fp32."""
    cos, sin = tables
    even, odd = rearrange(states.float(), "... (pair two) -> two ... pair", two=2)
    rotated = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return rotated.flatten(-2)


def _angles(size: int, dim: int) -> Tensor:
    frequencies = THETA ** -(torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    return torch.outer(torch.arange(size, dtype=torch.float64), frequencies)


def _grid(axes: list[Tensor]) -> Tensor:
    time, rows, columns = axes
    shape = (len(time), len(rows), len(columns))
    parts = [
        rearrange(time, "f d -> f 1 1 d").expand(*shape, -1),
        rearrange(rows, "h d -> 1 h 1 d").expand(*shape, -1),
        rearrange(columns, "w d -> 1 1 w d").expand(*shape, -1),
    ]
    return rearrange(torch.cat(parts, dim=-1), "f h w d -> f (h w) 1 d")
