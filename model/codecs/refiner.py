"""A small network that mends what the patch-DCT codec decodes: borders between patches, blur, ringing.

It mends the four frames of one latent frame and sees no other, so that decoding needs no memory of earlier frames.

Letters: B batch, D width, T pixel frames of a latent frame (4), H and W latent sides.
"""

from typing import Final

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from model.codecs.geometry import SPATIAL_COMPRESSION, TEMPORAL_COMPRESSION

CELL: Final = 4
"""Side of a cell in pixels. The network sees the picture as cells, 4 × 4 of them in a patch."""
_CELLS: Final = SPATIAL_COMPRESSION // CELL
_CHANNELS: Final = 3 * TEMPORAL_COMPRESSION * CELL**2


class PatchRefiner(nn.Module):
    """Pixels (B, 3, T, 16H, 16W) as decoded from patches to the same, mended.

    Args:
        width: channels of a cell, D.
        num_blocks: residual blocks; each sees two cells further in every direction.
    """

    def __init__(self, width: int, num_blocks: int) -> None:
        super().__init__()
        self.to_cells = nn.Conv2d(_CHANNELS, width, 3, padding=1)
        # Convolutions alone cannot tell where in its patch a cell lies, and so where the borders are.
        self.place_in_patch = nn.Parameter(torch.zeros(width, _CELLS, _CELLS))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)
            )
            for _ in range(num_blocks)
        )
        self.to_pixels = nn.Conv2d(width, _CHANNELS, 3, padding=1)
        # Until it is trained it changes nothing.
        for parameter in self.to_pixels.parameters():
            nn.init.zeros_(parameter)

    def forward(self, pixels: Tensor) -> Tensor:
        """Mend the frames of one latent frame."""
        height, width = (side // SPATIAL_COMPRESSION for side in pixels.shape[-2:])
        cells = self.to_cells(rearrange(pixels, "b c t (h p) (w q) -> b (c t p q) h w", p=CELL, q=CELL))
        cells = cells + repeat(self.place_in_patch, "d p q -> d (h p) (w q)", h=height, w=width)
        for block in self.blocks:
            cells = cells + block(cells)
        change = rearrange(
            self.to_pixels(cells), "b (c t p q) h w -> b c t (h p) (w q)", c=3, t=TEMPORAL_COMPRESSION, p=CELL, q=CELL
        )
        mended: Tensor = pixels + change
        return mended
