"""Whether a mouth moves, told from keyframes alone: enough to find a still mouth, too little to read lips."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from curation.clip.observations import Box, FaceTrack, Keyframe

FACE_PX = 64
"""Faces are scaled to this height; smaller ones are not measured: their mouths are a few blurred pixels."""
MARGIN = 0.25
"""How far around the second face the first face's upper half is searched for, in face heights: detectors jitter."""
UPPER = (slice(4, 38), slice(8, 56))
"""Brows to nose, rows and columns of the scaled face: rigid while speaking, so it aligns two faces."""
MOUTH = (slice(42, 62), slice(16, 48))
MIN_CORRELATION = 0.9
"""Below this the head has turned, and the two faces cannot be compared."""
MIN_PAIRS = 3


def mouth_change(track: FaceTrack, keyframes: Sequence[Keyframe]) -> float | None:
    """Largest mean brightness change (0 to 255) of the mouth between keyframes whose upper faces are aligned.

    None when fewer than `MIN_PAIRS` pairs of faces are large and alike enough. Measured on real clips: still
    image 0, closed mouth in a moving head up to 5, speech from 9 upwards.
    """
    by_time = {round(keyframe.time_s, 3): keyframe for keyframe in keyframes}
    seen = [
        (face.box, np.asarray(cv2.cvtColor(by_time[round(time_s, 3)].image(), cv2.COLOR_BGR2GRAY), np.uint8))
        for time_s, face in zip(track.times_s, track.faces, strict=True)
        if round(time_s, 3) in by_time
    ]
    changes = [
        change
        for (box_a, image_a), (box_b, image_b) in pairwise(seen)
        if (change := _pair_change(image_a, box_a, image_b, box_b)) is not None
    ]
    return max(changes) if len(changes) >= MIN_PAIRS else None


def _pair_change(
    image_a: npt.NDArray[np.uint8], box_a: Box, image_b: npt.NDArray[np.uint8], box_b: Box
) -> float | None:
    height_px = box_a.height * image_a.shape[0]
    if height_px < FACE_PX:
        return None
    first = _face(image_a, box_a.centre, height_px, 0.0)
    # Both faces are scaled by the first one's size: the detector's sizes come in steps of a fifth, those of faces do
    # not.
    second = _face(image_b, box_b.centre, height_px, MARGIN)
    match = cv2.matchTemplate(second, first[UPPER], cv2.TM_CCOEFF_NORMED)
    _, correlation, _, (x, y) = cv2.minMaxLoc(match)
    if not correlation >= MIN_CORRELATION:
        return None
    room = second.shape[0] - FACE_PX
    x, y = min(max(x - UPPER[1].start, 0), room), min(max(y - UPPER[0].start, 0), room)
    aligned = second[y : y + FACE_PX, x : x + FACE_PX]
    return float(np.abs(first[MOUTH] - aligned[MOUTH]).mean())


def _face(
    image: npt.NDArray[np.uint8], centre: tuple[float, float], size_px: float, margin: float
) -> npt.NDArray[np.float32]:
    """A square around `centre` (fractions): `size_px` scaled to `FACE_PX`, with `margin` of that more on each side."""
    height, width = image.shape
    scale = FACE_PX / size_px
    side = round(FACE_PX * (1 + 2 * margin))
    left, top = centre[0] * width - side / scale / 2, centre[1] * height - side / scale / 2
    matrix = np.array([[scale, 0.0, -left * scale], [0.0, scale, -top * scale]])
    face = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(face, np.float32)
