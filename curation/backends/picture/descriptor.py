"""Frame descriptors: what tells two views of one scene from two scenes."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class FrameDescriptor(Protocol):
    """Maps a picture to a unit vector; the distance of two is one minus their scalar product."""

    def describe(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """`(H, W, 3)` BGR → `(D,)` of length 1."""
        ...
