"""How pixels and latents lie to each other."""

import pytest

from model.codecs.geometry import fills_latents, latent_frames, latent_sides, pixel_frames


def test_the_first_frame_lies_alone_and_then_four_together() -> None:
    assert [latent_frames(n) for n in (1, 2, 5, 6, 109)] == [1, 2, 2, 3, 28]
    assert [pixel_frames(n) for n in (1, 2, 3, 28)] == [1, 5, 9, 109]


@pytest.mark.parametrize(
    ("num_frames", "whole"), [(-3, False), (0, False), (1, True), (4, False), (5, True), (6, False)]
)
def test_whole_latent_frames(num_frames: int, whole: bool) -> None:
    assert fills_latents(num_frames) is whole


def test_sixteen_pixels_a_side() -> None:
    assert latent_sides(704, 1280) == (44, 80)
