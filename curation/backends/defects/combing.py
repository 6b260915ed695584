"""How much of a picture is combed: rows of two moments woven into one frame."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

MIN_STEP = 12
"""Brightness levels by which a row must differ from both of its neighbours, to stand above noise."""
MIN_ROWS = 5
"""Consecutive rows that must alternate. In strong noise 4.5 % of the pixels do so over two rows, 0.1 % over five."""


def combed_share(luma: npt.NDArray[np.uint8]) -> float:
    """Share of the pixels of `(H, W)` brightness, rows as stored, at which rows alternate.

    Rows alternate where each of `MIN_ROWS` rows differs from both its neighbours in the same direction, and these
    neighbours are alike. Progressive real footage measures up to 0.00002, strong noise 0.001, moving interlaced video
    0.04 to 0.09.
    """
    if len(luma) < 2 + MIN_ROWS:
        return 0.0
    above, row, below = luma[:-2], luma[1:-1], luma[2:]
    # Subtraction stops at 0, so of the two only the one that holds is left: the row is brighter, or darker, than both.
    step = cv2.max(cv2.subtract(row, cv2.max(above, below)), cv2.subtract(cv2.min(above, below), row))
    apart = cv2.absdiff(above, below)
    stands_out = cv2.bitwise_and(
        cv2.compare(step, MIN_STEP, cv2.CMP_GT), cv2.compare(cv2.add(apart, apart), step, cv2.CMP_LT)
    )
    combed = stands_out
    for further in range(1, MIN_ROWS):
        combed = cv2.bitwise_and(combed[:-1], stands_out[further:])
    return float(cv2.countNonZero(combed) / combed.size)
