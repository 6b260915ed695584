"""From the outline that a text detector draws to the box and slant that the stages read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curation.backends.text.detector import TextBox
from curation.clip.observations import Box


def text_box(quad: npt.NDArray[np.float64], score: float, width: int, height: int) -> TextBox:
    """The run of text in an outline, as fractions of the picture.

    Args:
        quad: `(4, 2)` corners in pixels, clockwise from the top left one, as PP-OCR orders them.
        score: the detector's, in [0, 1].
        width: of the picture in which the outline was drawn.
        height: likewise.
    """
    (x0, y0), (x1, y1) = np.clip(quad.min(axis=0), 0, None), np.minimum(quad.max(axis=0), [width, height])
    run = quad[1] - quad[0] + quad[2] - quad[3]
    return TextBox(
        box=Box(x0=float(x0 / width), y0=float(y0 / height), x1=float(x1 / width), y1=float(y1 / height)),
        confidence=score,
        angle_deg=float(np.degrees(np.arctan2(run[1], run[0]))),
    )
