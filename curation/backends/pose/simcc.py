"""Joints from RTMPose's two rows of scores for each joint, one along each axis (SimCC, Li et al., ECCV 2022)."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

BINS_PER_PIXEL: Final = 2
"""MMPose's `simcc_split_ratio` in every RTMPose."""


def decode_simcc(
    simcc_x: npt.NDArray[np.floating], simcc_y: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Places and scores of the joints.

    Args:
        simcc_x: `(B, J, 2 · width)` scores of the places along x.
        simcc_y: `(B, J, 2 · height)` scores of the places along y.

    Returns:
        `(B, J, 2)` x and y in pixels of the network's input, and `(B, J)` scores: the lower of the two peaks, which is
        not bounded by 1. A joint without a peak above 0 has the score 0.
    """
    places = np.stack([simcc_x.argmax(axis=2), simcc_y.argmax(axis=2)], axis=2) / BINS_PER_PIXEL
    scores = np.minimum(simcc_x.max(axis=2), simcc_y.max(axis=2)).astype(np.float64)
    return places, np.maximum(scores, 0.0)
