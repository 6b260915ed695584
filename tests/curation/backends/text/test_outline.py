from __future__ import annotations

import numpy as np
import pytest

from curation.backends.text.outline import text_box


def test_an_outline_becomes_fractions_of_the_picture() -> None:
    quad = np.array([[100, 300], [500, 300], [500, 330], [100, 330]], np.float64)
    text = text_box(quad, 0.75, 640, 360)
    box = text.box
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx((100 / 640, 300 / 360, 500 / 640, 330 / 360))
    assert (text.confidence, text.angle_deg) == (0.75, 0.0)


def test_what_sticks_out_is_cut_off() -> None:
    box = text_box(np.array([[-5, -3], [700, -3], [700, 400], [-5, 400]], np.float64), 0.9, 640, 360).box
    assert (box.x0, box.y0, box.x1, box.y1) == (0, 0, 1, 1)


@pytest.mark.parametrize("slant_deg", [-30, 10, 45])
def test_the_slant_is_that_of_the_baseline_whatever_the_pixels_shape(slant_deg: float) -> None:
    along = np.array([np.cos(np.radians(slant_deg)), np.sin(np.radians(slant_deg))])
    down = np.array([-along[1], along[0]])
    corner = np.array([200.0, 200.0])
    quad = np.stack([corner, corner + 90 * along, corner + 90 * along + 20 * down, corner + 20 * down])
    assert text_box(quad, 0.9, 640, 360).angle_deg == pytest.approx(slant_deg)
