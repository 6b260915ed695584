"""Station logos and watermarks: marks in a corner that stay while the picture moves under them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from curation.clip.observations import Box

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

CORNER = (0.3, 0.25)
"""A corner's share of the width and height; logos keep to it."""
MIN_GRADIENT = 20.0
"""Sobel magnitude (3 × 3, luma levels) from which there is an edge at all."""
FIXED = 0.8
"""Constancy from which an edge is fixed: length of the mean gradient vector over the mean of the lengths. Edges that
pass by point in all directions and cancel out. A translucent mark over a moving picture keeps 0.8 and more."""
PASSING = 0.6
"""Constancy below which an edge passes by."""
PERIPHERY = 0.25
"""Width of the picture's rim, as a share of each side. It tells whether the camera or the background moves; the person
in the middle always moves."""
MIN_MOVING = 0.6
"""Share of the rim's edges outside the corner that must pass by. Before a fixed camera all edges are fixed, so a mark
cannot be told from the background; a logo is then left to later stages (text in it, a language model)."""
MAX_REST = 0.3
"""Share of a corner's fixed edges that may lie outside its marks."""
MIN_KEYFRAMES = 4
"""With fewer, passing edges do not cancel out."""
MARK_WIDTH = (0.04, 0.28)
MARK_HEIGHT = (0.02, 0.2)
"""A mark's size as shares of the picture's: smaller ones are stray edges, larger ones are no logos."""
MARGIN = 0.01
"""Distance that a mark keeps from the picture's edges. What runs out of the picture was filmed: a sleeve, a
picture frame on the wall."""
MIN_MARK_EDGES = 0.15
"""Share of a mark's box that is fixed edge: glyphs and drawings are dense, stray edges are not."""


def corner_logo(greys: Sequence[Picture]) -> Box | None:
    """The largest mark of the keyframes `(H, W)`; None without one or when the picture does not move."""
    if len(greys) < MIN_KEYFRAMES:
        return None
    strength, constancy = _edges(greys)
    edge = strength > MIN_GRADIENT
    fixed, passing = edge & (constancy >= FIXED), edge & (constancy < PASSING)
    marks = _marks(fixed)
    found = []
    for corner in {(mark.x0 < 0.5, mark.y0 < 0.5) for mark in marks}:
        here = [mark for mark in marks if (mark.x0 < 0.5, mark.y0 < 0.5) == corner]
        if _background_moves(edge, passing, corner) and _stands_alone(fixed, here, corner):
            found += here
    return max(found, key=lambda mark: mark.area, default=None)


def _corner(shape: tuple[int, ...], corner: tuple[bool, bool]) -> tuple[slice, slice]:
    """Rows and columns of the corner `(is_left, is_top)`."""
    rows, columns = round(CORNER[1] * shape[0]), round(CORNER[0] * shape[1])
    return slice(rows) if corner[1] else slice(-rows, None), slice(columns) if corner[0] else slice(-columns, None)


def _background_moves(edge: Mask, passing: Mask, corner: tuple[bool, bool]) -> bool:
    """Whether the rim passes by, not counting `corner`."""
    height, width = edge.shape
    inset_y, inset_x = round(PERIPHERY * height), round(PERIPHERY * width)
    rim = np.ones_like(edge)
    rim[inset_y : height - inset_y, inset_x : width - inset_x] = False
    rim[_corner(edge.shape, corner)] = False
    total = np.count_nonzero(edge & rim)
    return bool(total > 0 and np.count_nonzero(passing & rim) >= MIN_MOVING * total)


def _stands_alone(fixed: Mask, marks: Sequence[Box], corner: tuple[bool, bool]) -> bool:
    """Whether hardly any other edge in the corner is fixed; otherwise `marks` are part of a filmed background."""
    height, width = fixed.shape
    rest = np.zeros_like(fixed)
    rest[_corner(fixed.shape, corner)] = True
    rest &= fixed
    total = np.count_nonzero(rest)
    for mark in marks:
        x0, y0, x1, y1 = mark.pixels(width, height)
        rest[y0:y1, x0:x1] = False
    return bool(np.count_nonzero(rest) <= MAX_REST * total)


def _edges(greys: Sequence[Picture]) -> tuple[Floats, Floats]:
    """Mean gradient magnitude `(H, W)` over the keyframes, and how constant the gradient is, in [0, 1]."""
    shape = greys[0].shape
    sum_x, sum_y, sum_length = (np.zeros(shape, np.float32) for _ in range(3))
    for grey in greys:
        gradient_x, gradient_y = (cv2.Sobel(grey, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
        sum_x += gradient_x
        sum_y += gradient_y
        sum_length += cv2.magnitude(gradient_x, gradient_y)
    constancy = cv2.magnitude(sum_x, sum_y) / np.maximum(sum_length, 1e-3)
    return np.asarray(sum_length / len(greys), np.float32), np.asarray(constancy, np.float32)


def _marks(fixed: Mask) -> list[Box]:
    """Boxes of groups of fixed edges in a corner that are as large and dense as a mark."""
    height, width = fixed.shape
    # Bridges the gaps between glyphs, which are about a glyph wide.
    kernel = np.ones((max(3, height // 60), max(3, width // 60)), np.uint8)
    bridged = cv2.morphologyEx(fixed.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    count, _, boxes, _ = cv2.connectedComponentsWithStats(bridged)
    marks = []
    for x, y, box_width, box_height, _ in boxes[1:count].tolist():
        box = Box(x0=x / width, y0=y / height, x1=(x + box_width) / width, y1=(y + box_height) / height)
        dense = fixed[y : y + box_height, x : x + box_width].mean() >= MIN_MARK_EDGES
        if dense and _is_mark(box):
            marks.append(box)
    return marks


def _is_mark(box: Box) -> bool:
    in_columns = _at_end(box.x0, box.x1, CORNER[0])
    in_rows = _at_end(box.y0, box.y1, CORNER[1])
    as_wide = MARK_WIDTH[0] <= box.width <= MARK_WIDTH[1]
    return in_columns and in_rows and as_wide and MARK_HEIGHT[0] <= box.height <= MARK_HEIGHT[1]


def _at_end(start: float, end: float, reach: float) -> bool:
    """Whether `[start, end]` lies in the first or the last `reach` of [0, 1], `MARGIN` away from its ends."""
    return (start >= MARGIN and end <= reach) or (start >= 1 - reach and end <= 1 - MARGIN)
