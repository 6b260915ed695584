"""Differences are found when there are any, and called ties when there are none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.stats.paired import compare, compare_all, holm, orient, paired_test, rank, smallest_p
from bench.values import Better


def scores(values: np.ndarray) -> dict[str, float]:
    return {f"{index:04d}": float(value) for index, value in enumerate(values)}


def test_the_exact_test_counts_sign_flips() -> None:
    # All one way: only all plus and all minus are as extreme.
    assert paired_test([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]) == pytest.approx(2 / 2**7)
    # |1 + 2 - 3| = 0: every flip is as extreme.
    assert paired_test([1.0, 2.0, -3.0]) == 1.0
    # |-1 + 3 + 4| = 6: of 8 sums ±8, ±6, ±2, 0, 0 … four reach it.
    assert paired_test([-1.0, 3.0, 4.0]) == pytest.approx(4 / 8)
    assert paired_test([0.0, 0.0]) == 1.0
    with pytest.raises(ValueError, match="finite"):
        paired_test([])


def test_it_agrees_with_scipy() -> None:
    differences = np.random.default_rng(3).normal(0.3, 1.0, 60)
    theirs = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(0)
    )
    assert paired_test(differences) == pytest.approx(theirs.pvalue, abs=0.01)


@pytest.mark.parametrize("num", [10, 40])
def test_false_alarms_are_as_rare_as_they_should_be(num: int) -> None:
    rng = np.random.default_rng(0)
    alarms = [paired_test(rng.normal(0, 1, num), seed=seed) <= 0.05 for seed in range(100)]
    assert 0.01 <= np.mean(alarms) <= 0.1


def test_a_difference_is_found_as_often_as_student_s_test_finds_it() -> None:
    rng, found = np.random.default_rng(0), {"ours": 0, "student": 0}
    for seed in range(80):
        differences = rng.normal(0.5, 1.0, 25)
        found["ours"] += paired_test(differences, seed=seed) <= 0.05
        found["student"] += stats.ttest_1samp(differences, 0).pvalue <= 0.05
    # The power of the t-test here is 0.67.
    assert 0.55 < found["student"] / 80 < 0.8
    assert abs(found["ours"] - found["student"]) <= 4


def test_only_common_samples_count() -> None:
    found = compare({"a": 1.0, "b": 2.0, "only": 100.0}, {"a": 0.0, "b": 0.0, "other": -100.0})
    assert found is not None
    assert found[0].value == 1.5
    assert found[0].num == 2
    assert compare({"a": 1.0}, {"b": 1.0}) is None


def test_holm() -> None:
    # Textbook: sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, made monotone.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_ties_share_a_rank_and_a_clear_loser_does_not() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, 60)
    methods = {
        "worse": scores(base - 2 + rng.normal(0, 0.3, 60)),
        "same": scores(base + rng.normal(0, 0.3, 60)),
        "other": scores(base + rng.normal(0, 0.3, 60)),
    }
    ranked = {one.method: one for one in rank(methods, compare_all(methods))}
    assert (ranked["same"].rank, ranked["other"].rank, ranked["worse"].rank) == (1, 1, 3)
    assert ranked["same"].ties == ("other",)
    assert ranked["worse"].ties == ()
    turned = {name: orient(values, Better.LOWER) for name, values in methods.items()}
    lower = rank(turned, compare_all(turned))
    assert [one.rank for one in lower] == [1, 2, 2]
    assert lower[0].method == "worse"


def test_a_chain_of_ties_is_told_as_it_is() -> None:
    rng = np.random.default_rng(1)
    methods = {name: scores(rng.normal(mean, 1.0, 60)) for name, mean in (("a", 0.5), ("b", 0.25), ("c", 0.0))}
    ranked = {one.method: one for one in rank(methods, compare_all(methods))}
    assert [ranked[name].rank for name in "abc"] == [1, 1, 2]
    assert ranked["b"].ties == ("a", "c")


def test_methods_without_a_common_sample_are_tied() -> None:
    methods = {"a": {"x": 1.0}, "b": {"y": 100.0}}
    assert [one.rank for one in rank(methods, compare_all(methods))] == [1, 1]


def test_so_few_samples_cannot_be_significant() -> None:
    assert smallest_p(7, 6) == pytest.approx(6 * 2 / 128)


def test_values_that_aim_at_zero_count_by_their_distance() -> None:
    assert orient({"a": -3.0, "b": 1.0}, Better.ZERO) == {"a": -3.0, "b": -1.0}
    assert orient({"a": -3.0}, Better.HIGHER) == {"a": -3.0}
    assert orient({"a": -3.0}, Better.LOWER) == {"a": 3.0}
