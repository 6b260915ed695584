"""Brightness, contrast and colour of made pictures."""

from __future__ import annotations

import numpy as np
import pytest

from curation.backends.caption.light_words import colour_temperature, describe_light
from tests.worlds.people_clips import Image, make_keyframe


def plain(blue: int, green: int, red: int) -> Image:
    return np.full((120, 160, 3), (blue, green, red), np.uint8)


def test_white_is_daylight() -> None:
    kelvin = colour_temperature(np.ones((2, 2, 3), np.float32))
    assert kelvin == pytest.approx(6504, abs=20)


def test_an_incandescent_lamp_is_2856_kelvin() -> None:
    """Illuminant A in linear sRGB is proportional to (1, 0.4, 0.1) or so: computed from its chromaticity."""
    x, y = 0.44757, 0.40745
    xyz = np.array([x / y, 1.0, (1 - x - y) / y])
    to_rgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    rgb = to_rgb @ xyz
    rgb = rgb / rgb.max()
    encoded = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    picture = encoded[::-1].reshape(1, 1, 3).astype(np.float32)
    assert colour_temperature(picture) == pytest.approx(2856, abs=40)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (plain(235, 235, 235), "high brightness, low contrast and neutral colours"),
        (plain(20, 20, 20), "low brightness, low contrast and neutral colours"),
        (plain(60, 110, 170), "medium brightness, low contrast and warm colours"),
        (plain(190, 120, 80), "medium brightness, low contrast and cool colours"),
        (plain(0, 0, 0), "low brightness and low contrast"),
    ],
    ids=["white", "dark", "orange", "blue", "black"],
)
def test_plain_pictures(image: Image, words: str) -> None:
    assert str(describe_light([make_keyframe(0.0, image)])) == words


def test_contrast_is_within_a_picture_not_between_pictures() -> None:
    half = plain(20, 20, 20)
    half[:, 80:] = 230
    assert "high contrast" in str(describe_light([make_keyframe(0.0, half)]))
    fading = [make_keyframe(0.0, plain(20, 20, 20)), make_keyframe(0.5, plain(230, 230, 230))]
    assert "low contrast" in str(describe_light(fading))


def test_nothing_to_see() -> None:
    assert describe_light([]) is None
