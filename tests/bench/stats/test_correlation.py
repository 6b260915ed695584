from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.stats.correlation import correlate


def named(values: np.ndarray) -> dict[str, float]:
    return {str(index): float(value) for index, value in enumerate(values)}


def test_known_orders() -> None:
    a = named(np.arange(10.0))
    same = correlate(a, named(np.arange(10.0) ** 3), num_resamples=100)
    assert same is not None
    assert same.spearman.value == pytest.approx(1)
    assert same.kendall.value == pytest.approx(1)
    opposite = correlate(a, named(-np.arange(10.0)), num_resamples=100)
    assert opposite is not None
    assert opposite.spearman.value == pytest.approx(-1)


def test_it_agrees_with_scipy_on_ties_and_covers_the_value() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(1, 6, 40).astype(float)
    second = first + rng.normal(0, 1.5, 40)
    found = correlate(named(first), {**named(second), "extra": 1.0}, num_resamples=300)
    assert found is not None
    assert found.num == 40
    assert found.spearman.value == pytest.approx(stats.spearmanr(first, second).statistic)
    assert found.kendall.value == pytest.approx(stats.kendalltau(first, second).statistic)
    assert (found.spearman.low or 1) < found.spearman.value < (found.spearman.high or -1)


def test_too_few_or_constant_scores_have_no_correlation() -> None:
    assert correlate({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 1.0, "b": 2.0, "c": 3.0}) is None
    assert correlate(named(np.arange(6.0)), named(np.ones(6))) is None


def test_the_interval_covers_the_true_rank_correlation() -> None:
    # Spearman's of two normal variables with correlation 0.6 (Pearson 1907): 6/π · asin(0.6/2).
    truth, rng, covered = 6 / np.pi * np.arcsin(0.3), np.random.default_rng(0), []
    for _ in range(200):
        first = rng.normal(size=40)
        second = 0.6 * first + 0.8 * rng.normal(size=40)
        found = correlate(named(first), named(second), num_resamples=300)
        assert found is not None
        assert found.spearman.low is not None
        assert found.spearman.high is not None
        covered.append(found.spearman.low <= truth <= found.spearman.high)
    assert 0.89 <= np.mean(covered) <= 0.99
