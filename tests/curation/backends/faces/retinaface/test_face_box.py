"""From RetinaFace's box to the square from brows to chin."""

from __future__ import annotations

import numpy as np

from curation.backends.faces.retinaface.face_box import SIDE, brows_to_chin


def test_the_square_lies_about_eyes_and_mouth_and_keeps_the_box_s_size() -> None:
    landmarks = np.array([[40, 50], [60, 50], [90, 60], [42, 80], [58, 80]], np.float32)
    x0, y0, x1, y1 = brows_to_chin(np.array([20, 10, 100, 90], np.float32), landmarks)
    assert np.allclose([(x0 + x1) / 2, (y0 + y1) / 2], [50, 65])  # the nose of a profile moves nothing
    assert np.allclose([x1 - x0, y1 - y0], SIDE * 80)


def test_a_narrow_box_gives_a_square_of_its_mean_size() -> None:
    x0, y0, x1, y1 = brows_to_chin(np.array([0, 0, 40, 90], np.float32), np.zeros((5, 2), np.float32))
    assert np.allclose([x1 - x0, y1 - y0], SIDE * 60)
