"""One camera take: a picture whose faces speak, seen by a camera that may move."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from curation.sample.face import Pose, TalkingFace
from curation.sample.speech import Speech

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """A window of the frames' shape that moves evenly from one place to another, in pixels of the canvas."""

    size: tuple[int, int]
    """Width and height of the frames that come out."""
    start: tuple[float, float, float]
    """Left, top and width of the window on the first frame."""
    end: tuple[float, float, float]
    """The same after the last frame."""

    @classmethod
    def still(cls, width: int, height: int, left: int = 0, top: int = 0) -> Camera:
        """A camera that does not move and shows canvas pixels one to one."""
        window = (float(left), float(top), float(width))
        return cls(size=(width, height), start=window, end=window)

    def look(self, canvas: Image, progress: float) -> Image:
        """What it sees at `progress` (0 to 1) of the take, `(height, width, 3)`."""
        left, top, width = (a + (b - a) * progress for a, b in zip(self.start, self.end, strict=True))
        scale = self.size[0] / width
        if scale == 1.0 and math.isclose(left, round(left), abs_tol=1e-6) and top == round(top):
            x, y = round(left), round(top)
            return canvas[y : y + self.size[1], x : x + self.size[0]].copy()
        matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
        interpolation = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
        return np.asarray(cv2.warpAffine(canvas, matrix, self.size, flags=interpolation), np.uint8)


@dataclass(frozen=True, kw_only=True, slots=True)
class Performer:
    """A face, what it says and how lively it is."""

    face: TalkingFace
    speech: Speech
    seed: int = 0
    liveliness: float = 1.0
    """Scale of the head's motion; 0 holds it still."""

    def pose(self, time_s: float) -> Pose:
        """Mouth by the speech; head and lids by slow waves and regular blinks of 0.2 s."""
        opening, rounding = self.speech.mouth(time_s)
        phase = 1.7 * self.seed
        sway = math.sin(2 * math.pi * 0.23 * time_s + phase)
        nod = math.sin(2 * math.pi * 0.41 * time_s + 2 * phase)
        since_blink = (time_s + 0.9 * self.seed) % 3.1 - 2.0
        blink = max(0.0, 1.0 - abs(since_blink - 0.1) / 0.1) if self.liveliness else 0.0
        return Pose(
            opening=opening,
            rounding=rounding,
            blink=blink,
            shift_x=2.2 * sway * self.liveliness,
            shift_y=1.4 * nod * self.liveliness,
            tilt_rad=0.018 * math.sin(2 * math.pi * 0.17 * time_s + phase) * self.liveliness,
        )


def film(
    canvas: Image,
    camera: Camera,
    performers: tuple[Performer, ...],
    *,
    duration_s: float,
    fps: int,
    start_s: float = 0.0,
) -> Iterator[Image]:
    """The frames of a take, BGR; `start_s` is where it begins on the speakers' timeline."""
    num_frames = round(duration_s * fps)
    for index in range(num_frames):
        for performer in performers:
            performer.face.show(performer.pose(start_s + index / fps))
        yield camera.look(canvas, index / num_frames)
