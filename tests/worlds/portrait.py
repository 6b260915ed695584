"""A public-domain portrait that comes with scikit-image."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from skimage.data import astronaut as portrait


def astronaut(height: int) -> npt.NDArray[np.uint8]:
    """Eileen Collins, `(height, height, 3)` BGR."""
    image = cv2.cvtColor(np.asarray(portrait(), np.uint8), cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.resize(image, (height, height), interpolation=cv2.INTER_AREA), np.uint8)
