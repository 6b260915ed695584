"""What SyncNet looks at: windows of five frames and of 0.2 s of sound. Without torch, which most importers do not need.

Legend: F frames.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from curation.backends.lips.syncnet.mfcc import mfcc

SAMPLES_PER_FRAME: Final = 640
WINDOW_FRAMES: Final = 5
CEPSTRA_PER_FRAME: Final = 4
CROP_PX: Final = 224
"""Side of the pictures."""
CONTEXT: Final = 0.4
"""Margin of a crop, as a share of the box's half side: this much to the left and right, twice as much below."""
BORDER: Final = 110
"""Grey level outside the picture."""


def num_windows(num_frames: int, num_samples: int) -> int:
    """How many windows lips `(num_frames)` and sound `(num_samples)` at 16 kHz have in common; 0 or less: none."""
    return min(num_frames, num_samples // SAMPLES_PER_FRAME) - WINDOW_FRAMES


def lip_windows(crops: npt.NDArray[np.uint8], count: int) -> list[npt.NDArray[np.uint8]]:
    """The first windows of `(F, 224, 224, 3)` crops, each `(5, 224, 224, 3)`, one a frame."""
    return [crops[start : start + WINDOW_FRAMES] for start in range(count)]


def sound_windows(samples: npt.NDArray[np.int16], count: int) -> list[npt.NDArray[np.float32]]:
    """The first windows of sound at 16 kHz, each `(13, 20)` cepstra, one a frame."""
    cepstra = mfcc(samples).astype(np.float32)
    length = CEPSTRA_PER_FRAME * WINDOW_FRAMES
    starts = range(0, CEPSTRA_PER_FRAME * count, CEPSTRA_PER_FRAME)
    return [cepstra[start : start + length].T for start in starts]
