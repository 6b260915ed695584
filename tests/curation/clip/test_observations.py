"""Boxes in fractions, and the frames of a span."""

from __future__ import annotations

import numpy as np
import pytest

from curation.clip.observations import Box, FrameStats

HALF = Box(x0=0.0, y0=0.0, x1=0.5, y1=1.0)


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        (HALF, 1.0),
        (Box(x0=0.25, y0=0.0, x1=0.75, y1=1.0), 1 / 3),
        (Box(x0=0.5, y0=0.0, x1=1.0, y1=1.0), 0.0),
        (Box(x0=0.0, y0=1.0, x1=0.5, y1=1.5), 0.0),
        (Box(x0=0.0, y0=0.0, x1=0.25, y1=0.5), 0.25),
    ],
)
def test_overlap_is_that_of_both(other: Box, iou: float) -> None:
    assert HALF.iou(other) == pytest.approx(iou)
    assert other.iou(HALF) == pytest.approx(iou)


def test_pixels_are_clipped_to_the_picture() -> None:
    assert Box(x0=-0.1, y0=0.25, x1=1.2, y1=0.5).pixels(640, 480) == (0, 120, 640, 240)


def test_a_box_turned_inside_out_has_no_area() -> None:
    assert Box(x0=0.5, y0=0.5, x1=0.4, y1=0.6).area == 0.0


def test_a_span_of_frames_has_its_start_and_not_its_end() -> None:
    times = np.arange(10) / 10
    values = np.arange(10, dtype=np.float32)
    part = FrameStats(times_s=times, luma_mean=values, luma_std=values, change=values).between(0.2, 0.5)
    assert part.times_s.tolist() == pytest.approx([0.2, 0.3, 0.4])
    assert part.luma_mean.tolist() == part.luma_std.tolist() == part.change.tolist() == [2.0, 3.0, 4.0]
