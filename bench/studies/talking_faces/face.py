"""Drawing a face: flat soft-edged shapes that survive a codec of 16 × 16 patches.

The picture is laid out for 96 × 96 pixels and scales from there. The mouth is the largest thing that moves, dark on
skin, and rests in the middle of the picture, inside one token of the network (32 × 32 pixels).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from bench.studies.talking_faces.identity import Identity, Lab, rgb_of

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

LAYOUT_SIZE: Final = 96
HEAD: Final = (48.0, 40.0)
"""Centre of the head at rest."""
EYES_ABOVE: Final = 10.0
EYES_APART: Final = 20.0
MOUTH_BELOW: Final = 10.0
"""Centre of the mouth under the centre of the head."""
MOUTH_HALF_WIDTH: Final = 13.0
MOUTH_SHUT: Final = 0.8
"""Half height of the shut mouth."""
MOUTH_DROP: Final = 9.5
"""What a full opening adds to the half height."""
INSIDE: Final[Lab] = (8.0, 10.0, 5.0)
"""Colour of the mouth's inside."""
LIP_WIDTH: Final = 1.7
"""Of the lips about the mouth. They are redder than the skin and hardly darker, so that they count as skin where the
opening is measured by what is dark."""
BLUR: Final = 0.9
"""Standard deviation of the blur that softens all edges, in pixels. A hard edge puts coefficients of ten standard
deviations of natural video into the latents."""

_EYE_WHITE: Final = (235, 235, 235)
_IRIS: Final = (35, 30, 30)
_LIPS: Final[Lab] = (-6.0, 24.0, 4.0)
"""What lips are beside the skin."""
_SHADE: Final[Lab] = (-8.0, 5.0, 4.0)
"""What nose and ears are beside the skin."""
_SUBPIXEL_BITS: Final = 6
_AA_GROWTH: Final = 0.6
"""Pixels by which OpenCV draws the radii of a filled, anti-aliased ellipse too large, measured by its area."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """What the face does on one frame."""

    opening: float = 0.0
    """Of the mouth: 0 shut, 1 widest."""
    shift_x: float = 0.0
    """Of the head to the right, pixels of the 96-pixel layout."""
    shift_y: float = 0.0
    """Of the head downwards, likewise."""


def draw_face(identity: Identity, poses: Iterable[Pose], *, size: int = LAYOUT_SIZE) -> Iterator[Picture]:
    """Pictures (S, S, 3) RGB of a face in each pose."""
    scale = size / LAYOUT_SIZE
    skin, hair, inside = rgb_of(identity.lab("skin")), rgb_of(identity.lab("hair")), rgb_of(INSIDE)
    lips, shade = rgb_of(_shifted(identity.lab("skin"), _LIPS)), rgb_of(_shifted(identity.lab("skin"), _SHADE))
    still = _draw_still(identity, size)
    for pose in poses:
        picture = still.copy()
        x, y = HEAD[0] + pose.shift_x, HEAD[1] + pose.shift_y
        width, height = identity.half_width, identity.half_height
        _ellipse(picture, (x, y - 5), (width + 4.5, height), hair, scale)
        for side in (-1, 1):
            strand = (x + side * (width + 2.0), y - 10 + identity.hair_length)
            _ellipse(picture, strand, (5.0, identity.hair_length), hair, scale)
            _ellipse(picture, (x + side * (width + 0.5), y), (3.0, 5.5), shade, scale)
        _ellipse(picture, (x, y + 5), (width, height - 6), skin, scale)
        for side in (-1, 1):
            eye = (x + side * EYES_APART / 2, y - EYES_ABOVE)
            _ellipse(picture, eye, (5.0, 3.5), _EYE_WHITE, scale)
            _ellipse(picture, eye, (2.5, 2.8), _IRIS, scale)
            _ellipse(picture, (eye[0], eye[1] - identity.brow_height), (5.5, 1.1), hair, scale)
        _ellipse(picture, (x, y - 2.0), (2.0, 3.5), shade, scale)
        mouth = (MOUTH_HALF_WIDTH, MOUTH_SHUT + MOUTH_DROP * pose.opening)
        _ellipse(picture, (x, y + MOUTH_BELOW), (mouth[0] + LIP_WIDTH, mouth[1] + LIP_WIDTH), lips, scale)
        _ellipse(picture, (x, y + MOUTH_BELOW), mouth, inside, scale)
        yield cv2.GaussianBlur(picture, (0, 0), BLUR * scale)


def _draw_still(identity: Identity, size: int) -> Picture:
    """Background, shirt and neck."""
    scale = size / LAYOUT_SIZE
    picture = np.empty((size, size, 3), np.uint8)
    picture[:] = rgb_of(identity.lab("background"))
    _ellipse(picture, (HEAD[0], 104.0), (42.0, 30.0), rgb_of(identity.lab("shirt")), scale)
    _ellipse(picture, (HEAD[0], 66.0), (12.0, 14.0), rgb_of(identity.lab("skin")), scale)
    return picture


def _shifted(lab: Lab, by: Lab) -> Lab:
    return (lab[0] + by[0], lab[1] + by[1], lab[2] + by[2])


def _ellipse(
    picture: Picture, centre: tuple[float, float], radii: tuple[float, float], colour: Colour, scale: float
) -> None:
    """Fill an ellipse given in pixels of the layout, centres of pixels being at half-integers."""
    one = scale * (1 << _SUBPIXEL_BITS)
    full = 1 << _SUBPIXEL_BITS
    middle = (round(centre[0] * one) - full // 2, round(centre[1] * one) - full // 2)
    axes = (round(radii[0] * one - _AA_GROWTH * full), round(radii[1] * one - _AA_GROWTH * full))
    cv2.ellipse(picture, middle, axes, 0, 0, 360, colour, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)
