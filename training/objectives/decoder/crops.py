"""Random pieces of clips for a decoder to be trained on, decoded through the causal cache as a video is.

The decoder is causal in time, and each convolution keeps two earlier frames. Through its layers a frame depends on some
37 latent frames before it, though hardly on the far ones. So a piece is preceded by warm-up latents, which fill the
cache and are in no loss. A piece that begins where the clip does has no warm-up: its first latent frame is decoded into
one pixel frame, as the first of a video is. Both decoders always see the same piece, so both lack the same context.

Letters: B batch, C latent channels, F latent frames, H and W latent sides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from training.data.conditioning import Batch


@dataclass(frozen=True, kw_only=True, slots=True)
class CropConfig:
    """How large the pieces are; a smaller clip is taken whole. The paper says nothing; these are ours."""

    latent_frames: int = 5
    """In the loss: 17 or 20 pixel frames."""
    latent_height: int = 16
    """256 pixels."""
    latent_width: int = 16
    """256 pixels."""
    warmup: int = 4
    """Latent frames that are decoded before the piece to fill the causal cache, or as many as the clip has. With 4, a
    small trained decoder differed from decoding the whole clip by 2 % of the picture's spread, with none by 35 %
    (`bench.studies.decoder`)."""
    first_share: float = 0.25
    """How often a piece begins where the clip does. This would hardly ever happen by chance, and the first frame of a
    video is decoded in its own way."""

    def __post_init__(self) -> None:
        """Refuse empty pieces."""
        if min(self.latent_frames, self.latent_height, self.latent_width) < 1 or self.warmup < 0:
            raise ValueError("a crop has at least one latent frame, row and column, and warmup is at least 0")
        if not 0 <= self.first_share <= 1:
            raise ValueError(f"first_share lies in 0 … 1, got {self.first_share}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentCrop:
    """A piece of a clip."""

    latents: Tensor = field(repr=False)
    """(1, C, num_warmup + F, H, W), normalised."""
    num_warmup: int
    """Frames of these that only fill the cache."""
    start: tuple[int, int, int]
    """Latent frame, row and column of the clip at which the piece begins, warm-up not counted."""


def draw_crops(batch: Batch, config: CropConfig) -> list[LatentCrop]:
    """A piece of each clip, which follows from its draw alone."""
    random = batch.random("latent-crop")
    whether_first, at_frame, at_row, at_column = (random.uniform().tolist() for _ in range(4))
    _, _, *sides = batch.latents.shape
    crop = (config.latent_frames, config.latent_height, config.latent_width)
    frames, rows, columns = (max(0, side - wanted) for side, wanted in zip(sides, crop, strict=True))
    crops = []
    for number, latents in enumerate(torch.split(batch.latents, 1)):
        is_first = not frames or whether_first[number] < config.first_share
        frame = 0 if is_first else 1 + int(at_frame[number] * frames)
        row, column = int(at_row[number] * (rows + 1)), int(at_column[number] * (columns + 1))
        warmup = min(frame, config.warmup)
        piece = latents[:, :, frame - warmup : frame + crop[0], row : row + crop[1], column : column + crop[2]]
        crops.append(LatentCrop(latents=piece, num_warmup=warmup, start=(frame, row, column)))
    return crops
