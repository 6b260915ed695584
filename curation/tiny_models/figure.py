"""The person that the tiny pose networks see in every picture: upright, facing the camera, hands beside the hips."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

JOINTS: Final[npt.NDArray[np.float32]] = np.array(
    [
        *((0.50, 0.14), (0.53, 0.12), (0.47, 0.12), (0.56, 0.13), (0.44, 0.13)),  # nose, eyes, ears
        *((0.62, 0.26), (0.38, 0.26), (0.67, 0.41), (0.33, 0.41), (0.66, 0.55), (0.34, 0.55)),  # shoulders to wrists
        *((0.57, 0.54), (0.43, 0.54), (0.57, 0.74), (0.43, 0.74), (0.57, 0.92), (0.43, 0.92)),  # hips to ankles
    ],
    np.float32,
)
"""`(17, 2)` COCO's joints as fractions of the network's input; the person's left side is on the right."""
BOX: Final = (0.30, 0.05, 0.70, 0.97)
"""Around the person: x0, y0, x1, y1."""
