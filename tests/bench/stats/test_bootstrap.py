"""Intervals cover what they say, for few values too."""

from __future__ import annotations

import numpy as np
import pytest

from bench.stats.bootstrap import Interval, Method, bootstrap_mean, bootstrap_statistic


@pytest.mark.parametrize(("method", "num"), [("percentile", 7), ("bca", 7), ("percentile", 40), ("bca", 40)])
def test_the_interval_covers_the_true_mean_about_as_often_as_it_says(method: Method, num: int) -> None:
    rng = np.random.default_rng(0)
    covered = []
    for seed in range(300):
        found = bootstrap_mean(rng.normal(3.0, 1.0, num), method=method, num_resamples=1000, seed=seed)
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= 3.0 <= found.high)
    # Two and a half standard errors of 300 trials at 0.95 on either side.
    assert 0.92 <= np.mean(covered) <= 0.985


def test_bca_does_better_than_percentile_on_skewed_scores() -> None:
    rng = np.random.default_rng(1)
    covered: dict[Method, list[bool]] = {"percentile": [], "bca": []}
    for seed in range(300):
        values = rng.beta(0.5, 3, 24)
        for method, hits in covered.items():
            found = bootstrap_mean(values, method=method, num_resamples=1000, seed=seed)
            hits.append((found.low or 0) <= 0.5 / 3.5 <= (found.high or 0))
    assert np.mean(covered["bca"]) >= np.mean(covered["percentile"])
    assert np.mean(covered["bca"]) >= 0.92


def test_a_lower_level_is_narrower_and_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).normal(0, 1, 30)
    wide, narrow = bootstrap_mean(values), bootstrap_mean(values, level=0.5)
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low < wide.value
    assert wide == bootstrap_mean(values)


def test_few_values_have_no_interval_equal_values_no_width_and_nan_is_refused() -> None:
    assert bootstrap_mean([2.0]) == Interval(value=2.0, low=None, high=None, num=1, level=0.95)
    assert not bootstrap_mean([1.0, 2.0, 3.0, 4.0]).is_known
    assert bootstrap_mean([2.0] * 5) == Interval(value=2.0, low=2.0, high=2.0, num=5, level=0.95)
    for bad in ([], [1.0, float("nan")], [[1.0], [2.0]]):
        with pytest.raises(ValueError, match="finite"):
            bootstrap_mean(bad)


def test_resampling_in_chunks_spans_all_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(0, 1, 50)
    whole = bootstrap_mean(values)
    monkeypatch.setattr("bench.stats.bootstrap.CHUNK_VALUES", 130)
    assert bootstrap_mean(values) == whole


def test_a_statistic_that_is_mostly_undefined_has_no_ends() -> None:
    rows = np.arange(6.0)
    assert bootstrap_statistic(rows, lambda drawn: None) is None
    found = bootstrap_statistic(rows, lambda drawn: 1.0 if len(set(drawn)) == 6 else None)
    assert found is not None
    assert not found.is_known
