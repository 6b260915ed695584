"""Places and scores from rows of bins."""

from __future__ import annotations

import numpy as np
import pytest

from curation.backends.pose.simcc import decode_simcc


def test_a_bin_is_half_a_pixel_and_the_lower_peak_is_the_score() -> None:
    simcc_x, simcc_y = np.full((2, 17, 96), -1.0), np.full((2, 17, 128), -1.0)
    simcc_x[0, 3, 41], simcc_y[0, 3, 100] = 5.0, 2.5
    simcc_x[1, 16, 95], simcc_y[1, 16, 0] = 0.4, 7.0
    places, scores = decode_simcc(simcc_x, simcc_y)
    assert places.shape == (2, 17, 2)
    assert places[0, 3].tolist() == [20.5, 50.0]
    assert places[1, 16].tolist() == [47.5, 0.0]
    assert scores[0, 3] == 2.5
    assert scores[1, 16] == pytest.approx(0.4)
    assert scores.sum() == pytest.approx(2.9), "a joint without a peak above 0 scores 0"
