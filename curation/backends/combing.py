"""How much of a picture is combed: rows of two moments woven into one frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MIN_STEP = 12
"""Brightness levels by which a row must differ from both of its neighbours, to stand above noise."""


def combed_share(luma: npt.NDArray[np.uint8]) -> float:
    """Share of the pixels of `(H, W)` brightness, rows as stored, at which rows alternate.

    A row differs from both neighbours in the same direction, these are alike, and the next row does the opposite.

    Progressive real footage measures up to 0.0023, moving interlaced video 0.03 to 0.12 [labelled clips, and a pan].
    """
    rows = luma.astype(np.int16)
    above, row, below = rows[:-2], rows[1:-1], rows[2:]
    up, down = row - above, row - below
    stands_out = (np.minimum(up, down) > MIN_STEP) | (np.maximum(up, down) < -MIN_STEP)
    stands_out &= 2 * np.abs(above - below) < np.minimum(np.abs(up), np.abs(down))
    return float((stands_out[:-1] & stands_out[1:]).mean()) if len(stands_out) > 1 else 0.0
