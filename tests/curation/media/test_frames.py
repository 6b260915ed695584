"""Every frame of a span once, in order, as it is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.media import (
    iter_frames,
    sample_frames,
)
from tests.worlds.videos import frame_number, write_video

SMALL = (160, 128)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("frames") / "a.mp4", size=SMALL, seconds=2)


def test_every_frame_once_in_order(path: Path) -> None:
    frames = list(iter_frames(str(path)))
    assert [frame_number(frame.image) for frame in frames] == list(range(50))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(50) / 25, atol=1e-3)


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.4), (0.52, 1.0), (1.6, 2.0), (0.88, 0.92)])
def test_a_span_is_exact_after_seeking(path: Path, start: float, end: float) -> None:
    frames = [frame_number(frame.image) for frame in iter_frames(str(path), start, end)]
    assert frames == list(range(round(start * 25), round(end * 25)))


def test_sampling_repeats_and_skips_by_time(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.5, 0.52, 0.54, 0.9]
    path = write_video(tmp_path / "a.mp4", size=SMALL, times_s=times)
    frames = [frame_number(frame.image) for frame in sample_frames(str(path), 0.0, 1.0, fps=10)]
    assert frames == [0, 1, 1, 1, 1, 2, 4, 4, 4, 5]
