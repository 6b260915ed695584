"""How much of a picture is combed: rows of two moments woven into one frame."""

from __future__ import annotations

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
    rows = luma.astype(np.int16)
    above, row, below = rows[:-2], rows[1:-1], rows[2:]
    up, down = row - above, row - below
    stands_out = (np.minimum(up, down) > MIN_STEP) | (np.maximum(up, down) < -MIN_STEP)
    stands_out &= 2 * np.abs(above - below) < np.minimum(np.abs(up), np.abs(down))
    combed = stands_out
    for further in range(1, MIN_ROWS):
        combed = combed[:-1] & stands_out[further:]
    return float(combed.mean()) if combed.size else 0.0
