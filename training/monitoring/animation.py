"""A video as a small animated GIF, for pages that show pictures only."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from PIL import Image

MAX_HEIGHT: Final = 256
MAX_WIDTH: Final = 512
FRAME_MS: Final = 130
"""A GIF counts in hundredths of a second: this is a little less than 8 frames a second."""
MAX_FRAMES: Final = 46
"""6 s; the rest of a longer video is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Animation:
    """An animated GIF that repeats."""

    width: int
    height: int
    gif: bytes = field(repr=False)


def animated(path: Path) -> Animation:
    """The first seconds of a video, small.

    Raises:
        av.FFmpegError: it cannot be read.
    """
    pictures: list[Image.Image] = []
    with av.open(str(path.absolute())) as container:
        for frame in container.decode(video=0):
            if frame.time < Fraction(len(pictures) * FRAME_MS, 1000):
                continue
            pictures.append(_small(frame.to_image()))
            if len(pictures) == MAX_FRAMES:
                break
    file = io.BytesIO()
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=FRAME_MS, loop=0)
    return Animation(width=pictures[0].width, height=pictures[0].height, gif=file.getvalue())


def _small(picture: Image.Image) -> Image.Image:
    """Within the bounds, its shape kept; never made larger."""
    scale = min(1.0, MAX_HEIGHT / picture.height, MAX_WIDTH / picture.width)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST)
