"""Pixels and levels are the same numbers."""

import torch

from model.codecs.levels import levels_of, pixels_of


def test_every_level_comes_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    pixels = pixels_of(levels)
    assert (float(pixels[0]), float(pixels[-1])) == (-1.0, 1.0)
    assert levels_of(pixels).equal(levels)


def test_the_nearest_level_is_taken_and_what_lies_outside_is_cut_off() -> None:
    given = torch.tensor([-1.5, -1.0 + 0.49 / 127.5, -1.0 + 0.51 / 127.5, 1.01])
    assert levels_of(given).tolist() == [0, 0, 1, 255]
