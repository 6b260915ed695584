"""The part that a network sees, and the way back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from curation.backends.pose.window import Window, around_person, whole_picture

POINTS = np.array([[0.0, 0.0], [13.5, 71.25], [200.0, 100.0]])


def to_input(window: Window, points: np.ndarray) -> np.ndarray:
    return np.asarray((points - np.array(window.centre)) * window.scale + np.array(window.size) / 2)


@pytest.mark.parametrize(("height", "width"), [(100, 200), (333, 77), (640, 640)])
def test_the_whole_picture_lies_in_the_middle_of_bars(height: int, width: int) -> None:
    picture = np.full((height, width, 3), 255, np.uint8)
    window = whole_picture(picture, (320, 320))
    corners = to_input(window, np.array([[0.0, 0.0], [width, height]]))
    assert np.abs(corners).max() == pytest.approx(320)
    assert corners.sum(axis=0) == pytest.approx((320, 320))
    cut = window.cut(picture, 114)
    assert cut.shape == (320, 320, 3)
    (x0, y0), (x1, y1) = np.round(corners).astype(int)
    assert (cut[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] == 255).all()
    bars = np.ones((320, 320), bool)
    bars[max(0, y0 - 2) : y1 + 2, max(0, x0 - 2) : x1 + 2] = False
    assert (cut[bars] == 114).all()
    assert bars.any() == (height != width)


@pytest.mark.parametrize("box", [(20.0, 30.0, 60.0, 40.0), (-10.0, 5.0, 15.0, 90.0), (7.0, 7.0, 7.0, 7.0)])
def test_a_persons_window_has_the_shape_of_the_input_and_room(box: tuple[float, ...]) -> None:
    window = around_person(np.array(box), (192, 256), 1.25)
    corners = to_input(window, np.array(box).reshape(2, 2))
    sides = corners[1] - corners[0]
    assert (corners[0] + corners[1]) / 2 == pytest.approx((96, 128))
    if sides.any():
        assert max(sides / (192, 256)) == pytest.approx(1 / 1.25)


@pytest.mark.parametrize("window", [
    whole_picture(np.zeros((97, 211, 3), np.uint8), (640, 640)),
    around_person(np.array([20.0, 30.0, 60.0, 140.0]), (192, 256), 1.25),
])  # fmt: skip
def test_there_and_back(window: Window) -> None:
    assert window.to_picture(to_input(window, POINTS)) == pytest.approx(POINTS)
    assert window.to_picture(np.zeros((2, 17, 2))).shape == (2, 17, 2)


def test_a_spot_is_cut_to_where_the_way_back_expects_it() -> None:
    picture = np.zeros((300, 200, 3), np.uint8)
    cv2.circle(picture, (120, 90), 5, (255, 255, 255), -1)
    window = around_person(np.array([80.0, 20.0, 160.0, 200.0]), (192, 256), 1.25)
    bright = window.cut(picture, 0)[:, :, 0].astype(float)
    rows, columns = np.indices(bright.shape)
    middle = np.array([(bright * columns).sum(), (bright * rows).sum()]) / bright.sum()
    assert window.to_picture(middle) == pytest.approx((120, 90), abs=0.1)
