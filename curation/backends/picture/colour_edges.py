"""A check of cuts without weights: which colours and which edge directions are in which part of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from curation.backends.picture.cut_checker import GAP_FRAMES, CutWindow

SIZE = (96, 96)
GRID = 3
HUE_BINS, SATURATION_BINS, VALUE_BINS = 8, 3, 4
EDGE_BINS = 8


class ColourEdges:
    """HSV and gradient-orientation histograms of a 3 × 3 grid, square-rooted (Hellinger kernel)."""

    reach_frames = GAP_FRAMES

    def distances(self, windows: Sequence[CutWindow]) -> list[float]:
        """One minus the scalar product of the two sides' descriptions: 0 to 1."""
        return [1.0 - float(self.describe(window.before) @ self.describe(window.after)) for window in windows]

    def describe(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """`(H, W, 3)` BGR → `(936,)` of length 1; colours and edges weigh the same."""
        small = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
        colour = self._per_cell(self._colour_bins(small), HUE_BINS * SATURATION_BINS * VALUE_BINS, None)
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
        dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
        angle = np.mod(np.arctan2(dy, dx), np.pi)
        direction = np.minimum((angle / np.pi * EDGE_BINS).astype(np.int64), EDGE_BINS - 1)
        edges = self._per_cell(direction, EDGE_BINS, np.hypot(dx, dy))
        both = np.sqrt(np.concatenate([colour, edges]))
        return np.asarray(both / max(float(np.linalg.norm(both)), 1e-12), np.float32)

    @staticmethod
    def _colour_bins(small: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        hue, saturation, value = np.moveaxis(cv2.cvtColor(small, cv2.COLOR_BGR2HSV).astype(np.int64), -1, 0)
        hue = np.where(saturation < 24, 0, hue * HUE_BINS // 180)
        bins = hue * SATURATION_BINS + saturation * SATURATION_BINS // 256
        return np.asarray(bins * VALUE_BINS + value * VALUE_BINS // 256)

    @staticmethod
    def _per_cell(
        bins: npt.NDArray[np.int64], num_bins: int, weights: npt.NDArray[np.float32] | None
    ) -> npt.NDArray[np.float64]:
        """Histograms of the grid's cells, all together summing to 1."""
        rows, columns = np.indices(bins.shape)
        cell = (rows * GRID // bins.shape[0]) * GRID + columns * GRID // bins.shape[1]
        flat = (cell * num_bins + bins).ravel()
        counts = np.bincount(flat, None if weights is None else weights.ravel(), GRID * GRID * num_bins)
        return np.asarray(counts / max(float(counts.sum()), 1e-12), np.float64)
