"""Following one face through a video and cutting it out, as SyncNet's pipeline does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.signal import medfilt

from curation.backends.lips.syncnet.windows import BORDER, CONTEXT, CROP_PX

Boxes = npt.NDArray[np.float64]

FPS = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackConfig:
    """What makes a track; the published pipeline's defaults."""

    min_iou: float = 0.5
    """Overlap with the track's last box must be above it."""
    max_gap_frames: int = 25
    """A track ends when no box has continued it for this long."""
    min_frames: int = 100
    """Shorter tracks are dropped (the number of detections must be above it)."""
    min_face_px: float = 100.0
    """Tracks whose mean width and height are both no larger are dropped."""
    median_frames: int = 13
    """Length of the median filter over the box's middle and size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One face on consecutive frames."""

    first_frame: int
    boxes: Boxes
    """`(F, 4)` x0, y0, x1, y1 in pixels, gaps filled in linearly."""

    @property
    def mean_area(self) -> float:
        """Pixels."""
        return float(((self.boxes[:, 2] - self.boxes[:, 0]) * (self.boxes[:, 3] - self.boxes[:, 1])).mean())


def follow_faces(detections: Sequence[Sequence[Boxes]], config: TrackConfig) -> list[Track]:
    """Tracks out of the boxes `(4,)` found on each frame, in the order in which they begin."""
    left = [list(boxes) for boxes in detections]
    tracks = []
    while any(left):
        frames, boxes = _take_track(left, config)
        dense = np.arange(frames[0], frames[-1] + 1)
        filled = np.stack([np.interp(dense, frames, column) for column in np.array(boxes).T], 1)
        size = max((filled[:, 2] - filled[:, 0]).mean(), (filled[:, 3] - filled[:, 1]).mean())
        if len(frames) > config.min_frames and size > config.min_face_px:
            tracks.append(Track(first_frame=frames[0], boxes=filled))
    return tracks


def iou(one: Boxes, other: Boxes) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return float(width * height / (areas - width * height))


def steady(track: Track, median_frames: int) -> Boxes:
    """`(F, 3)`: middle x, middle y and half the longer side, each median-filtered (zeros beyond the ends)."""
    x0, y0, x1, y1 = track.boxes.T
    followed = ((x0 + x1) / 2, (y0 + y1) / 2, np.maximum(x1 - x0, y1 - y0) / 2)
    return np.stack([medfilt(values, median_frames) for values in followed], 1)


def crop(image: npt.NDArray[np.uint8], x: float, y: float, half: float) -> npt.NDArray[np.uint8]:
    """`(224, 224, 3)`: y from −half to +1.8 half, x ±1.4 half about the middle, grey beyond the picture."""
    pad = int(half * (1 + 2 * CONTEXT))
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), constant_values=BORDER)
    middle_x, middle_y, wide = x + pad, y + pad, half * (1 + CONTEXT)
    face = padded[
        int(middle_y - half) : int(middle_y + half * (1 + 2 * CONTEXT)), int(middle_x - wide) : int(middle_x + wide)
    ]
    return np.asarray(cv2.resize(face, (CROP_PX, CROP_PX)), np.uint8)


def _take_track(left: list[list[Boxes]], config: TrackConfig) -> tuple[list[int], list[Boxes]]:
    """Take the boxes of the track that begins first out of `left`."""
    frames: list[int] = []
    taken: list[Boxes] = []
    for frame, boxes in enumerate(left):
        if frames and frame - frames[-1] > config.max_gap_frames:
            break
        for index, box in enumerate(boxes):
            if not frames or iou(box, taken[-1]) > config.min_iou:
                frames.append(frame)
                taken.append(boxes.pop(index))
                break
    return frames, taken
