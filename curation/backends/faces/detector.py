"""Face detectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from curation.clip.observations import FaceBox


class FaceDetector(Protocol):
    """Finds faces in pictures."""

    def detect(self, images: Sequence[npt.NDArray[np.uint8]], *, thorough: bool = True) -> list[tuple[FaceBox, ...]]:
        """Pictures `(H, W, 3)` BGR → the faces of each, most confident first; the confidence scale is the detector's.

        Args:
            images: the pictures; their sizes may differ.
            thorough: spend more time on small faces, where the detector has a choice.
        """
        ...
