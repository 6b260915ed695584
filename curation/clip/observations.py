"""What is seen on the frames of a video: boxes, faces, small pictures, measurements.

All times are seconds on the source's own timeline, on which the first video frame is at 0. All boxes are
fractions of the displayed picture (after rotation, with square pixels), so they hold at any resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

KEYFRAMES_REMEMBERED: Final = 64
"""Keyframes of which the decoded picture is kept: those of six clips, about 80 MB at a short edge of 480. Seven stages
look at them one after the other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle in fractions of the displayed picture: x to the right, y down, both in [0, 1]."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Fraction of the picture's width."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Fraction of the picture's height."""
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        """Fraction of the picture's area."""
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def centre(self) -> tuple[float, float]:
        """The middle as (x, y)."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def iou(self, other: Box) -> float:
        """Intersection over union with `other`, in [0, 1]."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        if width <= 0 or height <= 0:
            return 0.0
        return width * height / (self.area + other.area - width * height)

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """`(x0, y0, x1, y1)` in whole pixels of a `width` × `height` picture, clipped to it."""
        x0, x1 = (min(max(round(x * width), 0), width) for x in (self.x0, self.x1))
        y0, y1 = (min(max(round(y * height), 0), height) for y in (self.y0, self.y1))
        return x0, y0, x1, y1


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceBox:
    """One detected face on one keyframe."""

    box: Box
    confidence: float
    """The detector's score; its scale is the backend's (dlib's HOG: about 0 to 3)."""
    landmarks: tuple[tuple[float, float], ...] = ()
    """Eyes, nose and corners of the mouth as (x, y) in fractions of the picture, left ones first as seen in the
    picture; empty where the detector finds none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceTrack:
    """One face followed over keyframes."""

    times_s: tuple[float, ...]
    faces: tuple[FaceBox, ...]

    @property
    def mean_area(self) -> float:
        """Mean fraction of the picture that the face covers."""
        return float(np.mean([face.box.area for face in self.faces]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Keyframe:
    """A small JPEG of one frame, kept so that no later stage has to decode the video again."""

    time_s: float
    jpeg: bytes = field(repr=False)
    faces: tuple[FaceBox, ...] = ()
    embedding: bytes | None = field(default=None, repr=False)
    """What a network makes of it, a signed byte for each dimension; None where the profile has no such network."""

    def image(self) -> npt.NDArray[np.uint8]:
        """`(H, W, 3)` BGR, read-only: stages that look at the same keyframe share it."""
        return _decoded(self.jpeg)


@lru_cache(maxsize=KEYFRAMES_REMEMBERED)
def _decoded(jpeg: bytes) -> npt.NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None, "keyframes are written by this program"
    image.flags.writeable = False
    return np.asarray(image, np.uint8)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameStats:
    """What the one full decode measured on every frame; arrays of length N, one entry a frame."""

    times_s: npt.NDArray[np.float64] = field(repr=False)
    luma_mean: npt.NDArray[np.float32] = field(repr=False)
    """Mean brightness, 0 to 255."""
    luma_std: npt.NDArray[np.float32] = field(repr=False)
    """Spread of brightness over the picture, 0 to 128: about 0 on a black or blank frame."""
    change: npt.NDArray[np.float32] = field(repr=False)
    """Mean absolute brightness difference to the previous frame, 0 to 255; 0 for the first."""

    def between(self, start_s: float, end_s: float) -> FrameStats:
        """The frames with `start_s <= time < end_s`."""
        inside = slice(*np.searchsorted(self.times_s, [start_s - 1e-6, end_s - 1e-6]))
        return FrameStats(
            times_s=self.times_s[inside],
            luma_mean=self.luma_mean[inside],
            luma_std=self.luma_std[inside],
            change=self.change[inside],
        )
