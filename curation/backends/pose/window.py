"""The part of a picture that a pose network sees, scaled to the network's input, and the way back.

Points are `(x, y)` in pixels. As in MMPose, on whose crops these networks were trained, the middle of the part lands on
the middle of the input, and a warp takes the middle of a pixel for a whole number. Exact scale and middle are kept
rather than rounded to whole pixels, so the way back is exact too.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A part of a picture with the shape of a network's input."""

    centre: tuple[float, float]
    """Its middle in the picture."""
    scale: float
    """Pixels of the input for one of the picture."""
    size: tuple[int, int]
    """Width and height of the input."""

    def cut(self, picture: Image, border: int) -> Image:
        """The part as `(height, width, 3)`; what lies outside the picture has the value `border`."""
        shift = np.array(self.size) / 2 - self.scale * np.array(self.centre)
        warp = np.array([[self.scale, 0.0, shift[0]], [0.0, self.scale, shift[1]]])
        cut = cv2.warpAffine(picture, warp, self.size, flags=cv2.INTER_LINEAR, borderValue=(border,) * 3)
        return np.asarray(cut, np.uint8)

    def to_picture(self, points: npt.NDArray[np.floating]) -> Points:
        """`(…, 2)` points of the input, in the picture."""
        middle = np.array(self.size) / 2
        return np.asarray((np.asarray(points, np.float64) - middle) / self.scale + np.array(self.centre), np.float64)


def whole_picture(picture: Image, size: tuple[int, int]) -> Window:
    """The whole picture with bars (letterbox): the largest that fits into the input of `size`."""
    height, width = picture.shape[:2]
    return Window(centre=(width / 2, height / 2), scale=min(size[0] / width, size[1] / height), size=size)


def around_person(box: npt.NDArray[np.floating], size: tuple[int, int], padding: float) -> Window:
    """A person's box (x0, y0, x1, y1), `padding` times as large, and widened to the shape of the input of `size`."""
    x0, y0, x1, y1 = (float(value) for value in box)
    width, height = max(x1 - x0, 1.0) * padding, max(y1 - y0, 1.0) * padding
    return Window(centre=((x0 + x1) / 2, (y0 + y1) / 2), scale=min(size[0] / width, size[1] / height), size=size)
