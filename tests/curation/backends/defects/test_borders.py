from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from curation.backends.defects.borders import blurred_fill, dark_bars
from tests.worlds.drawn_scenes import landscape, panned

Grey = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def greys() -> list[Grey]:
    return [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in panned(landscape(21))[::4]]


def barred(greys: list[Grey], share: float, *, axis: int, luma: float = 2.0) -> list[Grey]:
    """Bars of `share` / 2 at both ends of `axis`, with codec noise in them."""
    rng = np.random.default_rng(0)
    out = []
    for grey in greys:
        copy = np.moveaxis(grey.copy(), axis, 0)
        bar = round(share / 2 * len(copy))
        for rows in (slice(None, bar), slice(len(copy) - bar, None)):
            copy[rows] = np.clip(rng.normal(luma, 2, copy[rows].shape), 0, 255).astype(np.uint8)
        out.append(np.ascontiguousarray(np.moveaxis(copy, 0, axis)))
    return out


@pytest.mark.parametrize("share", [0.05, 0.12, 0.25, 0.5])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("luma", [0.0, 14.0])
def test_the_thickness_of_dark_bars_is_measured(greys: list[Grey], share: float, axis: int, luma: float) -> None:
    found = dark_bars(barred(greys, share, axis=axis, luma=luma))
    assert found[axis] == pytest.approx(share, abs=0.008)
    assert found[1 - axis] == 0


def test_a_full_picture_has_no_bars(greys: list[Grey]) -> None:
    assert dark_bars(greys) == (0, 0)
    assert blurred_fill(greys) == 0


def test_a_black_picture_has_no_bars(greys: list[Grey]) -> None:
    assert dark_bars([np.zeros_like(grey) for grey in greys]) == (0, 0)


def test_a_speaker_before_a_black_wall_has_no_bars(greys: list[Grey]) -> None:
    mask = np.zeros_like(greys[0])
    cv2.ellipse(mask, (320, 220), (90, 120), 0, 0, 360, 255, -1)
    cv2.ellipse(mask, (320, 500), (220, 160), 0, 0, 360, 255, -1)
    on_black = [np.where(mask > 0, np.maximum(grey, 40), 3).astype(np.uint8) for grey in greys]
    assert dark_bars(on_black) == (0, 0)


def test_one_dark_side_is_no_pillarbox(greys: list[Grey]) -> None:
    door = [grey.copy() for grey in greys]
    for grey in door:
        grey[:, :90] = 4
    assert dark_bars(door) == (0, 0)


@pytest.mark.parametrize("share", [0.3, 0.44, 0.66])
def test_the_width_of_blurred_fill_is_measured(greys: list[Grey], share: float) -> None:
    filled = []
    for grey in greys:
        copy = cv2.GaussianBlur(cv2.resize(grey, None, fx=2, fy=2)[240:720, 320:960], (0, 0), 12)
        bar = round(share / 2 * 640)
        copy[:, bar : 640 - bar] = grey[:, bar : 640 - bar]
        filled.append(copy)
    assert blurred_fill(filled) == pytest.approx(share, abs=0.01)


def test_two_door_frames_are_no_blurred_fill(greys: list[Grey]) -> None:
    doors = [grey.copy() for grey in greys]
    for grey in doors:
        grey[:, 118:122] = 220
        grey[:, 518:522] = 220
    assert blurred_fill(doors) == 0
