"""The colour that most of a picture has, in a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from curation.clip.observations import Keyframe

SIDE_PX: Final = 64
"""Pictures are averaged down to this side: only large areas matter."""
MOST: Final = 0.5
"""Share of the picture from which a colour is that of most of it."""
COLOURFUL_FROM: Final = 12.0
"""Chroma in CIE Lab; below, a colour is a grey."""
BLACK_BELOW, WHITE_FROM = 15.0, 85.0
"""CIE L*, 0 to 100, of a grey."""
HUES: Final = ((20.0, "pink"), (50.0, "red"), (75.0, "orange"), (110.0, "yellow"), (175.0, "green"), (225.0, "cyan"),
               (310.0, "blue"), (345.0, "purple"), (360.0, "pink"))  # fmt: skip
"""Hue angle in CIE Lab, in degrees, up to which each colour goes."""
BROWN_BELOW, BEIGE_BELOW = 50.0, 35.0
"""Orange and yellow are called brown below this CIE L*, and beige from it on, if their chroma is below the other."""


def main_colour(keyframes: Sequence[Keyframe]) -> str | None:
    """The colour of at least half of the pictures' area; None where no colour has so much, or without keyframes."""
    if not keyframes:
        return None
    small = [cv2.resize(each.image(), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) for each in keyframes]
    lab = cv2.cvtColor(np.concatenate(small).astype(np.float32) / np.float32(255), cv2.COLOR_BGR2LAB).reshape(-1, 3)
    lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360
    hues = np.array([name for _, name in HUES])
    names = hues[np.searchsorted([end for end, _ in HUES], hue, side="left").clip(max=len(HUES) - 1)].astype("<U8")
    is_warm = np.isin(names, ["orange", "yellow"])
    names[is_warm & (chroma < BEIGE_BELOW)] = "beige"
    names[is_warm & (lightness < BROWN_BELOW)] = "brown"
    is_grey = chroma < COLOURFUL_FROM
    names[is_grey] = "grey"
    names[is_grey & (lightness < BLACK_BELOW)] = "black"
    names[is_grey & (lightness >= WHITE_FROM)] = "white"
    found, counts = np.unique(names, return_counts=True)
    largest = int(counts.argmax())
    return str(found[largest]) if counts[largest] >= MOST * len(names) else None
