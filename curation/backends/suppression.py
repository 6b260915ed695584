"""Non-maximum suppression: of boxes that overlap, the most confident one stays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def suppress(
    boxes: npt.NDArray[np.floating], scores: npt.NDArray[np.floating], max_iou: float
) -> npt.NDArray[np.int64]:
    """Indices of the boxes that stay, the most confident first.

    Args:
        boxes: `(N, 4)` x0, y0, x1, y1, in any units.
        scores: `(N,)`; equal ones keep their order.
        max_iou: a box whose intersection over union with a better one is above this is dropped.
    """
    left = np.argsort(-scores, kind="stable")
    x0, y0, x1, y1 = np.asarray(boxes, np.float64).T
    areas = np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0)
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        width = np.minimum(x1[best], x1[left]) - np.maximum(x0[best], x0[left])
        height = np.minimum(y1[best], y1[left]) - np.maximum(y0[best], y0[left])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        # Multiplied out, so that boxes without an area need no exception.
        left = left[shared <= max_iou * (areas[best] + areas[left] - shared)]
    return np.array(kept, np.int64)
