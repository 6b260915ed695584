"""The colour that most of a made picture has."""

from __future__ import annotations

import numpy as np
import pytest

from curation.backends.caption.colour_words import main_colour
from tests.worlds.people_clips import Image, make_keyframe


def plain(red: int, green: int, blue: int) -> Image:
    return np.full((60, 80, 3), (blue, green, red), np.uint8)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"), ((128, 128, 128), "grey"), ((245, 245, 245), "white"),
        ((200, 30, 30), "red"), ((240, 140, 20), "orange"), ((230, 210, 40), "yellow"), ((40, 150, 50), "green"),
        ((60, 170, 180), "cyan"), ((90, 150, 220), "blue"), ((20, 30, 160), "blue"), ((130, 50, 170), "purple"),
        ((240, 150, 190), "pink"), ((100, 65, 35), "brown"), ((215, 200, 170), "beige"),
    ],
)  # fmt: skip
def test_plain_pictures(rgb: tuple[int, int, int], name: str) -> None:
    assert main_colour([make_keyframe(0.0, plain(*rgb))]) == name


def test_only_a_colour_of_half_of_the_picture_is_named() -> None:
    thirds = plain(40, 150, 50)
    thirds[:, 32:] = (160, 30, 20)
    assert main_colour([make_keyframe(0.0, thirds)]) == "blue"
    thirds[:, 56:] = (30, 30, 200)
    assert main_colour([make_keyframe(0.0, thirds)]) is None
    assert main_colour([]) is None
