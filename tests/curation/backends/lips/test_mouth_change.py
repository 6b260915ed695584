"""A mouth that is drawn over differs from one that is not, whatever the head does."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
import skimage.data

from curation.backends.lips.mouth_change import mouth_change
from curation.clip.observations import Box, FaceBox
from tests.worlds.people_clips import Image, detect_faces, make_keyframe, make_track

NUM_KEYFRAMES = 6


@cache
def portrait() -> tuple[Image, FaceBox]:
    image = skimage.data.astronaut()[:, :, ::-1].copy()
    return image, detect_faces(image)[0]


def astronaut(shift: int, *, open_mouth: bool) -> tuple[Image, Box]:
    """The astronaut's portrait moved by `shift` pixels, and her face's box."""
    image, face = portrait()
    image = image.copy()
    x0, y0, x1, y1 = face.box.pixels(512, 512)
    if open_mouth:
        middle, axes = ((x0 + x1) // 2, y0 + round(0.8 * (y1 - y0))), (round(0.12 * (x1 - x0)), 9)
        cv2.ellipse(image, middle, axes, 0, 0, 360, (40, 30, 60), cv2.FILLED)
    moved = np.asarray(np.roll(image, shift, axis=1), np.uint8)
    box = Box(x0=(x0 + shift) / 512, y0=y0 / 512, x1=(x1 + shift) / 512, y1=y1 / 512)
    return moved, box


def change(*, talking: bool, sway: int, size: float = 1.0) -> float | None:
    seen = [astronaut(sway * (i % 3), open_mouth=talking and i % 2 == 1) for i in range(NUM_KEYFRAMES)]
    keyframes = [
        make_keyframe(0.5 * i, np.asarray(cv2.resize(image, None, fx=size, fy=size), np.uint8))
        for i, (image, _) in enumerate(seen)
    ]
    return mouth_change(make_track([box for _, box in seen]), keyframes)


@pytest.mark.parametrize("sway", [0, 7])
def test_open_and_closed_mouths(sway: int) -> None:
    still, talking = change(talking=False, sway=sway), change(talking=True, sway=sway)
    assert still is not None
    assert talking is not None
    assert still < 6.0 < talking


def test_a_small_face_is_not_measured() -> None:
    assert change(talking=True, sway=0, size=0.4) is None


def test_a_turning_head_is_not_measured() -> None:
    images = [skimage.data.astronaut(), skimage.data.astronaut()[:, ::-1]] * 3
    keyframes = [make_keyframe(0.5 * i, np.ascontiguousarray(x[:, :, ::-1])) for i, x in enumerate(images)]
    box = Box(x0=0.3, y0=0.1, x1=0.6, y1=0.4)
    assert mouth_change(make_track([box] * 6), keyframes) is None


def test_times_without_a_keyframe_are_passed_over() -> None:
    assert mouth_change(make_track([Box(x0=0.3, y0=0.1, x1=0.6, y1=0.4)] * 6), []) is None
