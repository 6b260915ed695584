"""The second look at every cut: whether the pictures on its two sides show different scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

GAP_FRAMES: Final = 3
"""How far before and after the cut the compared pictures lie, so that a flash of 1–2 frames is no cut."""


@dataclass(frozen=True, slots=True)
class CutWindow:
    """Consecutive frames around a cut."""

    frames: Sequence[Picture]
    """`(H, W, 3)` BGR each, of one size; fewer than a checker wants where the video begins or ends."""
    cut: int
    """Index of the first frame of the new shot."""

    @property
    def before(self) -> Picture:
        """The picture to compare on the old side."""
        return self.frames[max(self.cut - GAP_FRAMES, 0)]

    @property
    def after(self) -> Picture:
        """The picture to compare on the new side."""
        return self.frames[min(self.cut + GAP_FRAMES, len(self.frames)) - 1]


class CutChecker(Protocol):
    """Tells a cut from a movement within one scene."""

    reach_frames: int
    """Frames that it wants to see on either side of a cut."""

    def distances(self, windows: Sequence[CutWindow]) -> list[float]:
        """How different the two sides of each cut are: 0 for the same picture, and it grows with the difference."""
        ...
