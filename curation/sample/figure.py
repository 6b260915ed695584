"""The person of the portrait, cut out of it and put into another picture; legs are drawn where they show."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from curation.sample.face import TalkingFace, portrait

Image = npt.NDArray[np.uint8]

OUTLINE = (
    *((22, 520), (24, 440), (20, 405), (30, 350), (38, 300), (50, 265), (75, 243), (100, 222), (115, 208)),
    *((113, 190), (120, 172), (138, 158), (160, 151), (176, 150), (183, 150), (180, 130), (168, 114)),
    *((156, 104), (153, 82), (158, 56), (175, 38), (195, 24), (225, 15), (255, 19), (280, 36), (295, 60)),
    *((301, 84), (296, 110), (283, 128), (273, 137), (266, 150), (258, 174), (275, 182), (292, 200)),
    *((303, 222), (304, 238), (320, 246), (340, 262), (352, 285), (358, 320), (362, 352), (390, 346)),
    *((430, 352), (465, 372), (488, 402), (498, 440), (508, 480), (510, 520)),
)
"""The silhouette with helmet in pixels of the 512 × 512 picture."""


def add_person(
    canvas: Image, origin: tuple[int, int], scale: float, *, hue_shift: int = 0, standing: bool = False
) -> TalkingFace:
    """Put the person onto `canvas` (BGR, in place): the portrait's top left corner goes to `origin`.

    `hue_shift` (0 to 179) recolours the clothes; `standing` draws legs below the portrait's lower edge.
    """
    person = portrait(scale)
    size = len(person)
    if hue_shift:
        person = _recolour(person, hue_shift, round(192 * scale))
    mask = np.zeros((size, size), np.uint8)
    outline = np.round(np.array(OUTLINE) * scale).astype(np.int32)
    cv2.fillPoly(mask, [outline], 255)
    mask = np.asarray(
        cv2.GaussianBlur(cv2.erode(mask, np.ones((3, 3), np.uint8)), (0, 0), 0.9 * scale), np.uint8
    )
    if standing:
        _draw_legs(canvas, origin, scale)
    x0, y0 = max(origin[0], 0), max(origin[1], 0)
    x1, y1 = min(origin[0] + size, canvas.shape[1]), min(origin[1] + size, canvas.shape[0])
    inside = slice(y0 - origin[1], y1 - origin[1]), slice(x0 - origin[0], x1 - origin[0])
    alpha = mask[inside][..., None].astype(np.float32) / 255
    behind = canvas[y0:y1, x0:x1].astype(np.float32)
    canvas[y0:y1, x0:x1] = (behind + alpha * (person[inside] - behind)).astype(np.uint8)
    return TalkingFace(canvas, origin, scale)


def _recolour(person: Image, hue_shift: int, from_row: int) -> Image:
    hsv = cv2.cvtColor(person[from_row:], cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + hue_shift) % 180
    hsv[..., 1] = hsv[..., 1] // 2
    person[from_row:] = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    return person


def _draw_legs(canvas: Image, origin: tuple[int, int], scale: float) -> None:
    """Trousers of the suit's orange with shaded sides and a fold here and there, and black boots."""
    rng = np.random.default_rng(5)
    hip_y, foot_y = 500.0, 1190.0
    for hip_left, hip_right, knee, ankle in (
        (40, 180, (52, 160), (72, 148)),
        (168, 310, (186, 296), (200, 278)),
    ):
        for y in range(round(hip_y * scale), round(foot_y * scale)):
            row = y + origin[1]
            if not 0 <= row < len(canvas):
                continue
            at = (y / scale - hip_y) / (foot_y - hip_y)
            left = np.interp(at, (0, 0.5, 1), (hip_left, knee[0], ankle[0])) * scale + origin[0]
            right = np.interp(at, (0, 0.5, 1), (hip_right, knee[1], ankle[1])) * scale + origin[0]
            across = np.linspace(-1, 1, max(2, round(right - left)), dtype=np.float32)
            fold = 0.06 * np.sin(at * 60 + across * 3) + 0.03 * rng.normal(size=len(across))
            shade = (1.0 - 0.45 * across**2 + fold)[:, None]
            colour = np.array([26, 20, 18] if at > 0.9 else [38, 78, 205], np.float32)
            canvas[row, round(left) : round(left) + len(across)] = np.clip(colour * shade, 0, 255)
