"""Bars around the picture: letterbox and pillarbox, dark or filled with a blurred copy of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

DARK_LUMA = 26
"""Bars are black (luma 16 in video range, which decodes to 0) with some codec noise, or a very dark grey."""
STEP = 12.0
"""Luma levels from which two neighbouring rows differ visibly."""
EDGE_SHARE = 0.5
"""Share of a seam along which the picture must start: a dark wall ends at a head or a lamp, a bar ends on one line."""
MIN_SHARE = 0.01
"""Thinner bars (5 rows of 480) are the encoder's padding."""
MAX_SHARE = 0.45
"""Thicker bars are not looked for: two bars of this size leave a tenth for the picture."""
SYMMETRY = 0.7
"""Ratio of the thinner to the thicker bar from which they are a pair."""
FILL_BLUR = 0.35
"""Blurred fill holds at most this share of the fine detail (mean |Laplacian|) in the middle. Measured on fill that we
drew, enlarged twice and blurred by σ = 6 to 20: 0.10 to 0.12."""
FILL_SEAM = 0.6
"""Share of the height along which a straight vertical seam must be seen at the edges of blurred fill."""


def dark_bars(greys: Sequence[Picture]) -> tuple[float, float]:
    """Shares of the height and of the width that dark bars take, in [0, 1): `(letterbox, pillarbox)`.

    `greys` are keyframes `(H, W)`. Bars come in pairs of about the same thickness; a single one is a dark
    door or the bezel of a screen that was filmed. A bar is the run of rows from an edge that stay dark on
    every keyframe; it counts when the picture starts right behind it along most of the seam, on any keyframe.
    """
    brightest = np.max(np.stack(greys), axis=0)
    sides = [_bar(np.rot90(brightest, turns), [np.rot90(grey, turns) for grey in greys]) for turns in range(4)]
    return _pair(sides[0], sides[2]), _pair(sides[1], sides[3])


def _pair(first: float, second: float) -> float:
    return first + second if min(first, second) >= SYMMETRY * max(first, second) else 0.0


def _bar(brightest: Picture, greys: Sequence[Picture]) -> float:
    """Share of the height that a dark bar at the top takes."""
    # A row of a bar may carry a few pixels of ringing.
    lit = (brightest > DARK_LUMA).mean(axis=1) > 0.02
    if not lit.any():
        return 0.0
    thickness, height = int(np.argmax(lit)), brightest.shape[0]
    if not MIN_SHARE * height <= thickness <= MAX_SHARE * height:
        return 0.0
    # Scaling smears the seam over a row or two.
    inside = [grey[thickness + 1 : thickness + 4].max(axis=0).astype(np.float32) for grey in greys]
    outside = [grey[max(0, thickness - 3) : max(1, thickness - 1)].max(axis=0).astype(np.float32) for grey in greys]
    starts = np.max([np.mean(i - o > STEP) for i, o in zip(inside, outside, strict=True)])
    return thickness / height if starts >= EDGE_SHARE else 0.0


def blurred_fill(greys: Sequence[Picture]) -> float:
    """Share of the width that bars of blurred fill take, in [0, 1); 0 if there are none.

    Such bars have a straight seam from top to bottom, at the same distance from both edges on every keyframe, and
    little fine detail outside the seams.
    """
    # The median over keyframes keeps what stays in place.
    seams = np.median([_seams(grey) for grey in greys], axis=0)
    width = len(seams) + 1
    half = width // 2
    both = np.minimum(seams[:half], seams[::-1][:half])
    # Scaling may put the two seams a pixel apart.
    both = np.maximum(both, np.minimum(seams[:half], np.roll(seams[::-1], 1)[:half]))
    usable = slice(max(1, round(0.05 * width)), round(MAX_SHARE * width))
    position = usable.start + int(np.argmax(both[usable]))
    if both[position] < FILL_SEAM:
        return 0.0
    detail = np.mean([np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean(axis=0) for grey in greys], axis=0)
    inner = detail[position + 3 : width - position - 3].mean()
    outer = max(detail[: position - 2].mean(), detail[width - position + 2 :].mean())
    return 2 * position / width if outer <= FILL_BLUR * inner else 0.0


def _seams(grey: Picture) -> Floats:
    """For each of the W − 1 borders between columns: the share of rows with a larger step there than beside it."""
    steps = cv2.absdiff(grey[:, 1:], grey[:, :-1]).astype(np.float32)
    beside = cv2.blur(steps, (9, 1))
    return np.asarray(((steps > 4) & (steps > 2 * beside)).mean(axis=0), np.float32)
