"""The portrait of a real face, made to speak: jaw, lips, lids and head are warped on the picture.

The portrait is NASA's photograph of Eileen Collins (public domain), `skimage.data.astronaut()`, which lies
inside scikit-image's wheel. Landmarks below are pixels of that 512 × 512 picture, read off it by eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import skimage.data

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

FACE_BOX = (175, 76, 265, 166)
"""Where dlib's HOG detector sees the face: x0, y0, x1, y1."""

EMBLEM = (172, 386, 36)
"""The badge on the suit: centre and radius."""

HEAD_REGION = (128, 0, 324, 214)
"""All that moves when the head does."""
HEAD_CENTRE, HEAD_RADII = (226.0, 98.0), (80.0, 92.0)
NECK = (226.0, 190.0)
"""What the head turns about."""

MOUTH_REGION = (180, 134, 270, 200)
MOUTH_CENTRE_X, MOUTH_HALF_WIDTH = 223.5, 21.0
LIP_X = (202.5, 206.0, 210.0, 215.0, 220.0, 225.0, 230.0, 235.0, 240.0, 244.5)
LOWER_LIP_Y = (139.5, 143.2, 146.5, 149.0, 150.0, 150.0, 149.4, 147.0, 143.8, 140.5)
"""The lower lip's inner edge in the picture, where she smiles with her teeth showing."""
UPPER_LIP_Y = (139.5, 140.3, 141.3, 142.5, 143.7, 144.0, 143.7, 142.6, 141.2, 140.5)
"""The upper lip's inner edge: where the lower lip is when the mouth is shut."""
CHIN_REACH = 42.0
"""How far below the lower lip its motion has died away."""
MAX_DROP = 9.0
"""How far the lower lip is below the teeth at the widest opening."""
THROAT_BGR = np.array([22, 14, 38], np.float32)
TONGUE_BGR = np.array([74, 62, 128], np.float32)


@dataclass(frozen=True, slots=True)
class _Eye:
    centre_x: float
    half_width: float
    brow_y: float
    lash_y: float
    drop: float
    """From the upper lash line to the lower lid."""


EYES = (_Eye(203.0, 12.0, 91.5, 98.5, 6.5), _Eye(248.0, 12.5, 94.0, 100.0, 7.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """What the face does on one frame."""

    opening: float = 0.0
    """Mouth: 0 shut, 1 widest."""
    rounding: float = 0.0
    """Lips: 0 wide, 1 pursed."""
    blink: float = 0.0
    """Lids: 0 open, 1 shut."""
    shift_x: float = 0.0
    """Head, in pixels of the 512 × 512 picture."""
    shift_y: float = 0.0
    tilt_rad: float = 0.0


def portrait(scale: float) -> Image:
    """The whole picture in BGR, `scale` times 512 pixels wide, sharpened for its enlargement."""
    return _portrait(scale).copy()


@lru_cache(maxsize=2)
def _portrait(scale: float) -> Image:
    size = round(512 * scale)
    picture = np.ascontiguousarray(skimage.data.astronaut()[..., ::-1])
    _soften_emblem(picture)
    large = cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    soft = cv2.GaussianBlur(large, (0, 0), max(0.6 * scale, 0.5))
    return np.asarray(cv2.addWeighted(large, 1.8, soft, -0.8, 0), np.uint8)


def _soften_emblem(picture: Image) -> None:
    """Blur the badge on the suit: to a HOG detector it looks like a face (dlib, score up to 0.19)."""
    disc = np.zeros(picture.shape[:2], np.uint8)
    cv2.circle(disc, EMBLEM[:2], EMBLEM[2], 1, -1)
    soft = cv2.GaussianBlur(picture, (0, 0), 7)
    picture[disc > 0] = soft[disc > 0]


class TalkingFace:
    """Poses the face of a portrait that lies on `canvas` (BGR, changed in place) at `origin` and `scale`."""

    def __init__(self, canvas: Image, origin: tuple[float, float], scale: float) -> None:
        self.canvas = canvas
        self.origin = origin
        self.scale = scale
        self.head = self._window(HEAD_REGION)
        self.still = canvas[self.head].copy()
        self._prepare_head(*self._base_coordinates(self.head))
        self.mouth = self._window(MOUTH_REGION)
        x, y = self._base_coordinates(self.mouth)
        self.lip_y = np.interp(x, LIP_X, LOWER_LIP_Y).astype(np.float32)
        self.lip_y = cv2.GaussianBlur(self.lip_y, (0, 0), scale)
        upper = cv2.GaussianBlur(np.interp(x, LIP_X, UPPER_LIP_Y).astype(np.float32), (0, 0), scale)
        self.shut_by = np.minimum(upper - self.lip_y, 0)
        self.mouth_x, self.mouth_y = (x - x[0, 0]) * scale, (y - y[0, 0]) * scale
        self.below_lip = y - self.lip_y
        self.reach = np.abs(x - MOUTH_CENTRE_X)
        self.arch = np.clip(1 - (self.reach / MOUTH_HALF_WIDTH) ** 2, 0, 1)

    def _window(self, region: tuple[int, int, int, int]) -> tuple[slice, slice]:
        (height, width), (left, top) = self.canvas.shape[:2], self.origin
        x0, x1 = (round(min(max(left + x * self.scale, 0), width)) for x in region[::2])
        y0, y1 = (round(min(max(top + y * self.scale, 0), height)) for y in region[1::2])
        return slice(y0, y1), slice(x0, x1)

    def _base_coordinates(self, window: tuple[slice, slice]) -> tuple[Floats, Floats]:
        """Where each pixel of the window lies in the 512 × 512 picture."""
        rows, columns = window
        x = (np.arange(columns.start, columns.stop) + 0.5 - self.origin[0]) / self.scale - 0.5
        y = (np.arange(rows.start, rows.stop) + 0.5 - self.origin[1]) / self.scale - 0.5
        grid_x, grid_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
        return grid_x, grid_y

    def show(self, pose: Pose) -> None:
        """Draw the pose onto the canvas."""
        face = self.still.copy()
        self._move_mouth(face, pose.opening)
        if pose.blink > 0:
            for eye in EYES:
                self._close_lid(face, eye, pose.blink)
        self.canvas[self.head] = self._move_head(face, pose)

    def _inside_head(self, window: tuple[slice, slice]) -> tuple[slice, slice]:
        rows, columns = window
        top, left = self.head[0].start, self.head[1].start
        return slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)

    def _move_mouth(self, face: Image, opening: float) -> None:
        """Lay the lower lip and the chin, moved, over the upper lip and teeth, with the throat between."""
        window = self._inside_head(self.mouth)
        image = face[window]
        lip_drop = (1 - opening) * self.shut_by + opening * MAX_DROP * self.arch
        below = self.below_lip - lip_drop
        jaw = np.clip(below / CHIN_REACH, 0, 1)
        spread = np.clip(1 - (self.reach / (MOUTH_HALF_WIDTH + 26 * jaw)) ** 2, 0, 1)
        fall = 1 - jaw * jaw * (3 - 2 * jaw)
        depth = opening * MAX_DROP + (1 - opening) * float(self.shut_by.min())
        # At the lip's edge this is the lip's own shape; towards the chin it widens into the jaw's.
        shape = lip_drop * (1 - jaw) + depth * spread * jaw
        source_y = self.mouth_y - shape * fall * self.scale
        lower = cv2.remap(image, self.mouth_x, source_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        throat = np.clip(self.below_lip * self.scale + 0.5, 0, 1) * np.clip(lip_drop, 0, 1)
        tongue = np.clip(self.below_lip / np.maximum(lip_drop, 1e-3) * 2.2 - 1.2, 0, 1) * 0.6
        inside = THROAT_BGR + tongue[..., None] * (TONGUE_BGR - THROAT_BGR)
        behind = image + throat[..., None] * (inside - image)
        front = np.clip(below * self.scale * 0.8 + 0.5, 0, 1)[..., None]
        image[:] = np.clip(behind + front * (lower - behind), 0, 255).astype(np.uint8)

    def _close_lid(self, face: Image, eye: _Eye, blink: float) -> None:
        """Stretch the skin between brow and lashes down over the eye."""
        reach = eye.half_width + 2
        region = (eye.centre_x - reach, eye.brow_y, eye.centre_x + reach, eye.lash_y + eye.drop + 4)
        window = self._window((int(region[0]), int(region[1]), int(region[2]), int(region[3])))
        x, y = self._base_coordinates(window)
        image = face[self._inside_head(window)]
        arch = np.clip(1 - ((x - eye.centre_x) / eye.half_width) ** 2, 0, 1)
        lash = eye.lash_y + 3.0 * (1 - arch)
        edge = lash + blink * eye.drop * arch
        source_y = eye.brow_y + (y - eye.brow_y) * (lash - eye.brow_y) / (edge - eye.brow_y)
        lid = cv2.remap(
            image,
            (x - x[0, 0]) * self.scale,
            (source_y - y[0, 0]) * self.scale,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        front = np.clip((edge - y) * self.scale * 0.6 + 0.5, 0, 1) * np.clip(arch * 6, 0, 1)
        front = front[..., None]
        image[:] = (image + front * (lid.astype(np.float32) - image)).astype(np.uint8)

    def _prepare_head(self, x: Floats, y: Floats) -> None:
        """Maps for `cv2.remap`, and what one unit of each motion adds to them."""
        self.still_x, self.still_y = (x - x[0, 0]) * self.scale, (y - y[0, 0]) * self.scale
        self.per_shift = -self.scale * _head_weight(x, y)
        self.per_tilt_x = -self.per_shift * (y - NECK[1])
        self.per_tilt_y = self.per_shift * (x - NECK[0])
        near = np.exp(-(((x - MOUTH_CENTRE_X) / 20) ** 2) - ((y - 148) / 13) ** 2)
        self.per_rounding = 0.28 * self.scale * (x - MOUTH_CENTRE_X) * near

    def _move_head(self, face: Image, pose: Pose) -> Image:
        x = cv2.scaleAdd(self.per_shift, pose.shift_x, self.still_x)
        x = cv2.scaleAdd(self.per_tilt_x, pose.tilt_rad, x)
        x = cv2.scaleAdd(self.per_rounding, pose.rounding, x)
        y = cv2.scaleAdd(self.per_shift, pose.shift_y, self.still_y)
        y = cv2.scaleAdd(self.per_tilt_y, pose.tilt_rad, y)
        return np.asarray(cv2.remap(face, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _head_weight(x: Floats, y: Floats) -> Floats:
    """1 on the head, falling to 0 on the neck, the background and the picture's upper edge."""
    radius = np.hypot((x - HEAD_CENTRE[0]) / HEAD_RADII[0], (y - HEAD_CENTRE[1]) / HEAD_RADII[1])
    inside = np.clip((1.22 - radius) / 0.3, 0, 1) * np.clip(y / 12, 0, 1)
    return np.asarray(inside * inside * (3 - 2 * inside), np.float32)
