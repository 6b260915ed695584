from __future__ import annotations

import pytest

from curation.backends.text.detector import TextBox
from curation.backends.text.overlay import Band, Motion, decode_overlays, encode_overlays, find_bands, join_lines
from curation.clip.observations import Box
from tests.worlds.drawn_scenes import Picture, landscape, panned, write


def text_box(x0: float, y0: float, x1: float, y1: float) -> TextBox:
    return TextBox(box=Box(x0=x0, y0=y0, x1=x1, y1=y1), confidence=0.8, angle_deg=0.0)


CAPTION = text_box(0.2, 0.86, 0.8, 0.94)


def captioned(frames: list[Picture], texts: list[str]) -> list[Picture]:
    return [write(frame, text, centre=(0.5, 0.9)) for frame, text in zip(frames, texts, strict=True)]


def only_band(frames: list[Picture]) -> Band:
    (band,) = find_bands([[CAPTION]] * len(frames), frames)
    return band


def test_pieces_of_one_row_are_joined_and_rows_are_not() -> None:
    left, right, below = (
        text_box(0.1, 0.8, 0.4, 0.85),
        text_box(0.44, 0.8, 0.7, 0.85),
        text_box(0.1, 0.9, 0.4, 0.95),
    )
    lines = join_lines([right, below, left])
    assert [line.box for line in lines] == [Box(x0=0.1, y0=0.8, x1=0.7, y1=0.85), below.box]


def test_far_pieces_and_other_type_sizes_stay_apart() -> None:
    assert len(join_lines([text_box(0.0, 0.8, 0.2, 0.85), text_box(0.6, 0.8, 0.9, 0.85)])) == 2
    assert len(join_lines([text_box(0.0, 0.8, 0.2, 0.85), text_box(0.22, 0.74, 0.5, 0.9)])) == 2


def test_half_a_picture_is_no_line() -> None:
    assert join_lines([text_box(0.0, 0.3, 1.0, 0.9)]) == ()


def test_the_same_caption_over_a_pan_stays_over_motion() -> None:
    frames = captioned(panned(landscape(51))[::6], ["one and the same line"] * 3)
    assert only_band(frames).motion is Motion.OVER_MOTION


def test_another_caption_in_the_same_place_has_changed() -> None:
    frames = captioned(
        panned(landscape(51))[::6], ["one and the same line", "quite another text is", "here, as you may see"]
    )
    assert only_band(frames).motion is Motion.CHANGED


def test_text_before_a_fixed_camera_is_still() -> None:
    frames = captioned(panned(landscape(51), 0.0)[::6], ["one and the same line"] * 3)
    assert only_band(frames).motion is Motion.STILL


@pytest.mark.parametrize("shift_px", [1, 2, 5, 12])
def test_text_that_moves_by_a_pixel_was_filmed(shift_px: int) -> None:
    frames = [
        write(frame, "one and the same line", centre=(0.5 + index * shift_px / 640, 0.9))
        for index, frame in enumerate(panned(landscape(51), 0.0)[::6])
    ]
    assert only_band(frames).motion is Motion.MOVED


def test_lines_of_one_keyframe_make_no_band() -> None:
    frame = panned(landscape(51), num_frames=1)
    assert find_bands([[CAPTION, text_box(0.2, 0.75, 0.8, 0.83)]], frame) == ()


def test_left_aligned_lines_of_different_length_are_one_band() -> None:
    frames = panned(landscape(51))[:2]
    bands = find_bands([[text_box(0.1, 0.8, 0.5, 0.86)], [text_box(0.1, 0.8, 0.9, 0.86)]], frames)
    assert len(bands) == 1
    assert bands[0].width == pytest.approx(0.6)


def test_overlays_survive_their_encoding() -> None:
    band = Band(lines=((0, CAPTION), (1, CAPTION)), motion=Motion.CHANGED)
    encoded = encode_overlays([band])
    assert encoded is not None
    assert decode_overlays(encoded) == ((Motion.CHANGED, CAPTION.box),)
    assert encode_overlays([]) is None
