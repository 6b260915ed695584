from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from curation.backends.defects.corner_logo import corner_logo
from tests.worlds.drawn_scenes import Picture, landscape, panned, write

Grey = npt.NDArray[np.uint8]


def greys(frames: list[Picture]) -> list[Grey]:
    return [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames[::2]]


def badge(frame: Picture, centre: tuple[float, float], opacity: float = 1.0) -> Picture:
    """A ring with a star, no letters."""
    marked = frame.copy()
    x, y = round(centre[0] * 640), round(centre[1] * 480)
    cv2.circle(marked, (x, y), 24, (255, 255, 255), 4, cv2.LINE_AA)
    cv2.drawMarker(marked, (x, y), (240, 240, 240), cv2.MARKER_STAR, 24, 3)
    return np.asarray(cv2.addWeighted(marked, opacity, frame, 1 - opacity, 0), np.uint8)


@pytest.mark.parametrize("centre", [(0.1, 0.12), (0.9, 0.12), (0.1, 0.88), (0.9, 0.88)])
@pytest.mark.parametrize("opacity", [1.0, 0.7])
def test_a_badge_over_a_moving_picture_is_found_in_each_corner(centre: tuple[float, float], opacity: float) -> None:
    found = corner_logo(greys([badge(frame, centre, opacity) for frame in panned(landscape(31))]))
    assert found is not None
    assert found.x0 < centre[0] < found.x1
    assert found.y0 < centre[1] < found.y1
    assert 0.04 < found.width < 0.15


def test_a_lettered_logo_is_found() -> None:
    frames = [write(frame, "NEWS 7", centre=(0.86, 0.1), size=0.06) for frame in panned(landscape(32))]
    assert corner_logo(greys(frames)) is not None


@pytest.mark.parametrize("seed", [33, 34, 35, 36])
@pytest.mark.parametrize("speed_px", [0.0, 2.0, 37.0])
def test_pictures_without_a_logo_have_none(seed: int, speed_px: float) -> None:
    assert corner_logo(greys(panned(landscape(seed), speed_px))) is None


def test_a_badge_before_a_fixed_camera_is_not_claimed() -> None:
    frames = [badge(frame, (0.9, 0.12)) for frame in panned(landscape(37), 0.0)]
    assert corner_logo(greys(frames)) is None


def test_a_badge_that_the_camera_passes_is_filmed() -> None:
    scene = landscape(38).copy()
    for column in range(150, 1900, 160):
        cv2.circle(scene, (column, 60), 24, (255, 255, 255), 4, cv2.LINE_AA)
    assert corner_logo(greys(panned(scene, 23.0))) is None


def test_two_keyframes_say_nothing() -> None:
    frames = [badge(frame, (0.9, 0.12)) for frame in panned(landscape(31))]
    assert corner_logo(greys(frames)[:2]) is None


def test_a_clock_on_the_plain_wall_behind_a_speaker_is_not_claimed() -> None:
    frames = panned(landscape(39), 0.0)
    for index, frame in enumerate(frames):
        frame[:150, 420:] = 180
        cv2.ellipse(frame, (320, 300), (90, 130), 8.0 * (index % 3), 0, 360, (60, 80, 160), -1)
    assert corner_logo(greys([badge(frame, (0.9, 0.12)) for frame in frames])) is None
