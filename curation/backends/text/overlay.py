"""Telling text that was laid over the picture from text that was filmed.

Overlaid text keeps its row and its alignment to a fraction of a pixel, whatever the picture under it does; filmed text
moves with the camera, the T-shirt or the sheet of paper. So the lines of several keyframes are collected into bands
(same row, same alignment), and each band is classified by what its pixels do between two keyframes: the same glyphs
elsewhere (`MOVED`), other glyphs in the same place (`CHANGED`: captions), the same glyphs in the same place over a
picture that moved (`OVER_MOTION`) or over one that stood still (`STILL`: a banner or a sign before a fixed camera,
which only the layout can tell apart).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from curation.backends.text.detector import TextBox
from curation.clip.observations import Box

ROW_TOLERANCE = 0.35
"""Offset of two rows' middles, in text heights, up to which they are one row."""
HEIGHT_RATIO = 0.6
"""Two lines whose heights have a smaller ratio are set in different type."""
ALIGNMENT_TOLERANCE = 0.02
"""Offset of left edge, middle or right edge in picture widths. The detector's own jitter is under 0.01."""
MAX_LINE_HEIGHT = 0.2
"""A taller box is no line of text: on blurred walls detectors sometimes outline half the picture."""
SEARCH_HEIGHTS = 1.5
"""How far, in text heights, the same glyphs are looked for."""
SAME_GLYPHS = 0.6
"""Normalised correlation from which two patches show the same text. Measured on drawn text: the same caption
over a moving picture 0.87 and more, other captions 0.39 and less."""
FIXED_PX = 0.5
"""Displacement in keyframe pixels up to which glyphs stand still. JPEG noise moves the peak by 0.1 to 0.2."""
MOVING_LUMA = 4.0
"""Mean absolute difference beside the text, in luma levels, from which the picture moved there. Sensor noise
with σ = 1.5 in each channel gives 1.1."""


class Motion(StrEnum):
    """What the text of a band does between keyframes."""

    MOVED = "moved"
    STILL = "still"
    OVER_MOTION = "over_motion"
    CHANGED = "changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """Lines of text in the same row with the same alignment, on two or more keyframes."""

    lines: tuple[tuple[int, TextBox], ...]
    """Number of the keyframe and the line on it."""
    motion: Motion

    @property
    def width(self) -> float:
        """Mean fraction of the picture's width that the text runs over."""
        return float(np.mean([line.box.width for _, line in self.lines]))

    @property
    def box(self) -> Box:
        """What the band covers on any keyframe."""
        boxes = [line.box for _, line in self.lines]
        return _hull(boxes)


def join_lines(boxes: Iterable[TextBox]) -> tuple[TextBox, ...]:
    """Merge boxes that continue each other in one row: detectors break lines at wide gaps.

    Boxes that are too tall for a line are left out.
    """
    lines: list[TextBox] = []
    for text in sorted(boxes, key=lambda text: text.box.x0):
        if text.box.height > MAX_LINE_HEIGHT:
            continue
        before = next((line for line in lines if _continues(line.box, text.box)), None)
        if before is None:
            lines.append(text)
            continue
        lines.remove(before)
        widest = max(before, text, key=lambda part: part.box.width)
        lines.append(
            TextBox(
                box=_hull([before.box, text.box]),
                confidence=min(before.confidence, text.confidence),
                angle_deg=widest.angle_deg,
            )
        )
    return tuple(sorted(lines, key=lambda line: line.box.y0))


def find_bands(lines: Sequence[Sequence[TextBox]], images: Sequence[npt.NDArray[np.uint8]]) -> tuple[Band, ...]:
    """Bands among the `lines` of several keyframes; `images` are the same keyframes, `(H, W, 3)` BGR."""
    greys = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in images]
    open_bands: list[list[tuple[int, TextBox]]] = []
    for number, found in enumerate(lines):
        for line in found:
            band = next((b for b in open_bands if b[-1][0] < number and _aligned(b[-1][1].box, line.box)), None)
            if band is None:
                open_bands.append([(number, line)])
            else:
                band.append((number, line))
    return tuple(Band(lines=tuple(band), motion=_band_motion(band, greys)) for band in open_bands if len(band) > 1)


def encode_overlays(bands: Iterable[Band]) -> str | None:
    """JSON `[[motion, x0, y0, x1, y1], ...]`, as fractions, for a clip's scores; None without bands."""
    rows = [(band.motion.value, band.box) for band in bands]
    places = [[motion, *(round(edge, 4) for edge in (box.x0, box.y0, box.x1, box.y1))] for motion, box in rows]
    return json.dumps(places) if places else None


def decode_overlays(encoded: str) -> tuple[tuple[Motion, Box], ...]:
    """What `encode_overlays` wrote: each band's motion and place."""
    return tuple((Motion(motion), Box(x0=x0, y0=y0, x1=x1, y1=y1)) for motion, x0, y0, x1, y1 in json.loads(encoded))


def _continues(left: Box, right: Box) -> bool:
    height = min(left.height, right.height)
    same_row = abs(left.centre[1] - right.centre[1]) <= ROW_TOLERANCE * height
    return same_row and height >= HEIGHT_RATIO * max(left.height, right.height) and right.x0 - left.x1 <= 2 * height


def _aligned(first: Box, second: Box) -> bool:
    height = min(first.height, second.height)
    if abs(first.centre[1] - second.centre[1]) > ROW_TOLERANCE * height:
        return False
    if height < HEIGHT_RATIO * max(first.height, second.height):
        return False
    offsets = (first.x0 - second.x0, first.centre[0] - second.centre[0], first.x1 - second.x1)
    return min(abs(offset) for offset in offsets) <= ALIGNMENT_TOLERANCE


def _hull(boxes: Sequence[Box]) -> Box:
    return Box(
        x0=min(box.x0 for box in boxes),
        y0=min(box.y0 for box in boxes),
        x1=max(box.x1 for box in boxes),
        y1=max(box.y1 for box in boxes),
    )


def _band_motion(band: Sequence[tuple[int, TextBox]], greys: Sequence[npt.NDArray[np.uint8]]) -> Motion:
    """The most telling motion between consecutive members: text that moved once was filmed."""
    motions = [_motion(greys[before], greys[after], line.box) for (before, line), (after, _) in pairwise(band)]
    for motion in (Motion.MOVED, Motion.CHANGED, Motion.OVER_MOTION):
        if motion in motions:
            return motion
    return Motion.STILL


def _motion(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], box: Box) -> Motion:
    height, width = before.shape
    x0, y0, x1, y1 = box.pixels(width, height)
    margin = max(4, round(SEARCH_HEIGHTS * (y1 - y0)))
    top, bottom, left, right = (
        max(0, y0 - margin),
        min(height, y1 + margin),
        max(0, x0 - margin),
        min(width, x1 + margin),
    )
    correlation = cv2.matchTemplate(after[top:bottom, left:right], before[y0:y1, x0:x1], cv2.TM_CCOEFF_NORMED)
    _, best, _, (column, row) = cv2.minMaxLoc(correlation)
    if best < SAME_GLYPHS:
        return Motion.CHANGED
    shift_x = left + column + _vertex(correlation[row], column) - x0
    shift_y = top + row + _vertex(correlation[:, column], row) - y0
    if np.hypot(shift_x, shift_y) > FIXED_PX:
        return Motion.MOVED
    difference = cv2.absdiff(before[:, x0:x1], after[:, x0:x1])
    reach = y1 - y0
    sides = (difference[max(0, y0 - reach) : y0], difference[y1 : y1 + reach])
    return Motion.OVER_MOTION if all(side.size and side.mean() > MOVING_LUMA for side in sides) else Motion.STILL


def _vertex(values: npt.NDArray[np.float32], peak: int) -> float:
    """Offset of the vertex of the parabola through the peak and its neighbours, in [-0.5, 0.5]; 0 at the rim."""
    if not 0 < peak < len(values) - 1:
        return 0.0
    before, at, after = (float(value) for value in values[peak - 1 : peak + 2])
    bend = before - 2 * at + after
    return 0.0 if bend == 0 else 0.5 * (before - after) / bend
