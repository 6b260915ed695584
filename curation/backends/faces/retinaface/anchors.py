"""Anchors: the squares, at each place of each level, that the heads' answers are relative to.

Legend: A anchors, K kept ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from curation.backends.faces.retinaface.releases import STRIDES

Floats = npt.NDArray[np.float32]

CENTRE_STEP: Final = 0.1
"""A unit of the heads' answers for places, in sides of the anchor."""
SIZE_STEP: Final = 0.2
"""A unit of the heads' answers for sizes, as a natural logarithm."""


def make_anchors(height: int, width: int, sides_px: Sequence[Sequence[int]]) -> Floats:
    """`(A, 3)`: centre x, centre y and side in pixels, over levels, rows, columns and sides."""
    levels = []
    for stride, sides in zip(STRIDES, sides_px, strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        y, x, side = np.meshgrid(
            (np.arange(rows) + 0.5) * stride, (np.arange(columns) + 0.5) * stride, np.array(sides), indexing="ij"
        )
        levels.append(np.stack([x, y, side], -1).reshape(-1, 3))
    return np.concatenate(levels).astype(np.float32)


def decode_boxes(anchors: Floats, answers: Floats) -> Floats:
    """`(K, 3)` anchors and `(K, 4)` answers → `(K, 4)` x0, y0, x1, y1 in pixels."""
    sides = anchors[:, 2:]
    centres = anchors[:, :2] + answers[:, :2] * CENTRE_STEP * sides
    halves = sides * np.exp(answers[:, 2:] * SIZE_STEP) / 2
    return np.concatenate([centres - halves, centres + halves], 1)


def decode_landmarks(anchors: Floats, answers: Floats) -> Floats:
    """`(K, 3)` anchors and `(K, 10)` answers → `(K, 5, 2)` x, y in pixels."""
    return anchors[:, None, :2] + answers.reshape(-1, 5, 2) * CENTRE_STEP * anchors[:, None, 2:]
