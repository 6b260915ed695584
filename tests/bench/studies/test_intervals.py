"""Bootstrap intervals cover what they should."""

from __future__ import annotations

import numpy as np
import pytest

from bench.studies.intervals import bootstrap_mean


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        _, low, high = bootstrap_mean(rng.normal(3.0, 1.0, 24))
        covered.append(low <= 3.0 <= high)
    assert 0.87 <= np.mean(covered) <= 0.99


def test_equal_values_leave_no_doubt_and_none_or_nan_is_refused() -> None:
    assert bootstrap_mean([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)
    for bad in ([], [1.0, float("nan")]):
        with pytest.raises(ValueError, match="finite"):
            bootstrap_mean(bad)
