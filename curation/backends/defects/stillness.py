"""Spans in which the picture stands still or shows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from curation.clip.observations import FrameStats

FROZEN_CHANGE = 0.02
"""Mean change in luma levels up to which a frame repeats the one before. Measured at a short edge of 144: 0.012 at most
in a re-encoded still image; 0.022 and more in talking heads, except for single frames that files of variable rate
repeat."""
BLANK_STD = 4.0
"""Spread of luma over the picture up to which it is blank: black, white, one colour."""
GRID = 16
"""Keyframes are compared on a grid of this many tiles a side, so that a moving mouth is not averaged away."""
STILL_TILE_CHANGE = 2.5
"""Change in luma levels of the most changed tile up to which two keyframes show the same. Measured half a
second apart: a re-encoded still under 1, talking people 6 (an animated portrait) and more."""


def frozen_s(stats: FrameStats) -> float:
    """Longest time in seconds over which every frame repeats the one before (`FROZEN_CHANGE`)."""
    return _longest(stats.times_s, stats.change[1:] <= FROZEN_CHANGE)


def blank_s(stats: FrameStats) -> float:
    """Longest time in seconds over which frames are blank (`BLANK_STD`), each counted until the next."""
    blank = stats.luma_std <= BLANK_STD
    if len(blank) == 0:
        return 0.0
    period_s = float(np.median(np.diff(stats.times_s))) if len(blank) > 1 else 0.0
    return _longest(np.append(stats.times_s, stats.times_s[-1] + period_s), blank)


def still_s(times_s: Sequence[float], images: Sequence[npt.NDArray[np.uint8]]) -> float:
    """Longest time in seconds over which no tile of the keyframes changes (`STILL_TILE_CHANGE`).

    Unlike `frozen_s` this overlooks single disturbed frames, such as an encoder's refresh of a still picture.
    """
    changes = [tile_change(before, after) for before, after in pairwise(images)]
    return _longest(np.asarray(times_s), np.asarray(changes) <= STILL_TILE_CHANGE)


def tile_change(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> float:
    """Mean absolute luma difference in the most changed tile of two `(H, W)` pictures."""
    difference = cv2.absdiff(before, after).astype(np.float32)
    return float(cv2.resize(difference, (GRID, GRID), interpolation=cv2.INTER_AREA).max())


def _longest(times_s: npt.NDArray[np.float64], holds: npt.NDArray[np.bool_]) -> float:
    """Longest stretch between `times_s` (N) on which `holds` (N − 1, one an interval) stays true."""
    longest, start_s = 0.0, None
    for index, held in enumerate(holds):
        if not held:
            start_s = None
            continue
        start_s = times_s[index] if start_s is None else start_s
        longest = max(longest, float(times_s[index + 1] - start_s))
    return longest
