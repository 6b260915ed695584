from __future__ import annotations

import numpy as np
import pytest

from curation.backends.defects.stillness import blank_s, frozen_s, still_s, tile_change
from curation.clip.observations import FrameStats


def stats(change: list[float], luma_std: list[float], fps: float = 10.0) -> FrameStats:
    return FrameStats(
        times_s=np.arange(len(change)) / fps,
        luma_mean=np.full(len(change), 100, np.float32),
        luma_std=np.asarray(luma_std, np.float32),
        change=np.asarray(change, np.float32),
    )


def test_the_longest_frozen_span_is_measured_in_seconds() -> None:
    change = [0.0, 0.0, 0.0, 1.0, 0.01, 0.01, 0.01, 0.01, 1.0, 0.0]
    assert frozen_s(stats(change, [50.0] * 10)) == pytest.approx(0.4)
    assert frozen_s(stats([0.0, *[0.5] * 9], [50.0] * 10)) == 0
    assert frozen_s(stats([0.0], [50.0])) == 0


def test_the_longest_blank_span_counts_each_frame_until_the_next() -> None:
    luma_std = [50.0, 0.5, 0.5, 0.5, 50.0, 0.5, 50.0, 50.0, 50.0, 50.0]
    assert blank_s(stats([1.0] * 10, luma_std)) == pytest.approx(0.3)
    assert blank_s(stats([1.0] * 10, [0.0] * 10)) == pytest.approx(1.0)
    assert blank_s(stats([1.0] * 3, [50.0] * 3)) == 0
    assert blank_s(stats([], [])) == 0


def test_a_moving_mouth_is_not_still_and_a_disturbed_still_is() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (480, 640)).astype(np.uint8)
    refreshed = np.clip(picture.astype(np.int16) + rng.integers(-1, 2, picture.shape), 0, 255).astype(np.uint8)
    talking = picture.copy()
    talking[300:330, 300:340] = 255 - talking[300:330, 300:340]
    times_s = [0.0, 0.5, 1.0, 1.5]
    assert still_s(times_s, [picture, refreshed, picture, refreshed]) == pytest.approx(1.5)
    assert still_s(times_s, [picture, talking, picture, talking]) == 0
    assert still_s(times_s, [picture, refreshed, talking, talking]) == pytest.approx(0.5)
    assert tile_change(picture, picture) == 0
    assert still_s([0.0], [picture]) == 0
