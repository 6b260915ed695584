"""A bucket: encoded clips of one length and size, which may share a batch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from model.codecs.geometry import latent_frames, latent_sides

_TEXT: Final = re.compile(r"([0-9]+)x([0-9]+)x([0-9]+)")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Frames × height × width of the clips, in pixels.

    Its text, `<frames>x<height>x<width>`, is the name of their folder.
    """

    frames: int
    height: int
    width: int

    @classmethod
    def parse(cls, text: str) -> Bucket:
        """Read the text form.

        Raises:
            ValueError: the text is no bucket.
        """
        return _parsed(text)

    def __str__(self) -> str:
        return f"{self.frames}x{self.height}x{self.width}"

    @property
    def area(self) -> int:
        """Pixels of a frame."""
        return self.height * self.width

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Latent frames, rows and columns: (F, H, W)."""
        return latent_frames(self.frames), *latent_sides(self.height, self.width)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Bucket:
    # Cached, because a training set has a million rows and a few dozen buckets.
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text}, no <frames>x<height>x<width>")
    return Bucket(*(int(side) for side in match.groups()))
