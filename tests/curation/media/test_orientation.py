"""Pictures are seen upright and in their shape."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from curation.media import (
    iter_frames,
    probe,
)
from tests.worlds.videos import frame_number, write_video


def test_display_size_honours_pixel_shape(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=(320, 288), aspect=Fraction(16, 11), seconds=0.2))
    info = probe(path)
    assert (info.width, info.height) == (465, 288)
    assert next(iter_frames(path)).image.shape == (288, 465, 3)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_applied_as_a_player_does(tmp_path: Path, rotation: int) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=(320, 200), seconds=0.2, rotation_deg=rotation))
    info = probe(path)
    image = next(iter_frames(path)).image
    assert (info.width, info.height) == image.shape[1::-1]
    assert (info.width, info.height) == ((320, 200) if rotation == 180 else (200, 320))
    upright = np.rot90(image, -info.rotation_deg // 90 % 4 if rotation == 180 else info.rotation_deg // 90)
    assert frame_number(np.ascontiguousarray(upright)) == 0
