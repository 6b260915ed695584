"""Face detectors."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from curation.clip.observations import FaceBox


class FaceDetector(Protocol):
    """Finds faces in a picture."""

    def detect(self, image: npt.NDArray[np.uint8], *, thorough: bool = True) -> tuple[FaceBox, ...]:
        """`(H, W, 3)` BGR → faces, most confident first; the confidence scale is the detector's own.

        Args:
            image: the picture.
            thorough: spend more time on small faces, where the detector has a choice.
        """
        ...
