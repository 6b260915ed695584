"""Whether one method is better than another on the samples that both were scored on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import Interval, bootstrap_mean
from bench.values import Better

Scores = Mapping[str, float]
"""Sample → value of one method, turned so that higher is better (`orient`)."""

MAX_EXACT_PAIRS: Final = 14
"""Up to this many pairs, all 2^N sign flips are tried."""
NUM_PERMUTATIONS: Final = 20_000
CHUNK_SIGNS: Final = 4_000_000
ROUNDING: Final = 1e-12
"""Relative tolerance within which a permuted sum counts as being as extreme as the measured one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Method `a` against method `b`."""

    a: str
    b: str
    difference: Interval
    """Mean of a − b over common samples."""
    p_value: float
    """Two-sided, of the sign-flip permutation test."""
    adjusted_p: float
    """After Holm's correction over all pairs compared together."""
    num_pairs: int
    """Common samples."""

    def is_significant(self, alpha: float = 0.05) -> bool:
        """Whether the difference is more than chance, after correction over all pairs."""
        return self.adjusted_p <= alpha


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """A method's place."""

    method: str
    rank: int
    """One more than the number of methods that are significantly better."""
    ties: tuple[str, ...]
    """Methods that differ from this one by no more than chance."""


def paired_test(differences: npt.ArrayLike, *, seed: int = 0) -> float:
    """Two-sided p-value of paired differences being centred on zero, by flipping their signs at random.

    Exact for few pairs, where the smallest possible value is 2/2^N (0.016 for seven). Otherwise Monte Carlo: the
    measured signs count as one of the draws, so the value is never 0.

    Raises:
        ValueError: no differences, or one that is not finite.
    """
    array = np.asarray(differences, np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise ValueError(f"a paired test needs a list of finite differences, got {array}")
    # A pair without a difference has no sign to flip.
    array = array[array != 0]
    if not len(array):
        return 1.0
    bound = abs(array.sum()) - ROUNDING * np.abs(array).sum()
    if len(array) <= MAX_EXACT_PAIRS:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(array))))
        return float(np.mean(np.abs(signs @ array) >= bound))
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK_SIGNS // len(array))
    extreme = 0
    for start in range(0, NUM_PERMUTATIONS, rows):
        count = min(rows, NUM_PERMUTATIONS - start)
        positive = rng.integers(0, 2, (count, len(array)), np.int8).astype(np.float32)
        extreme += int(np.count_nonzero(np.abs(2 * (positive @ array) - array.sum()) >= bound))
    return (extreme + 1) / (NUM_PERMUTATIONS + 1)


def compare(a: Scores, b: Scores, *, seed: int = 0) -> tuple[Interval, float] | None:
    """Mean of a − b over common samples with its interval, and the p-value; None without a common sample."""
    common = sorted(set(a) & set(b))
    if not common:
        return None
    differences = np.array([a[sample] - b[sample] for sample in common])
    return bootstrap_mean(differences, seed=seed), paired_test(differences, seed=seed)


def compare_all(scores: Mapping[str, Scores], *, seed: int = 0) -> list[Comparison]:
    """Every pair of methods that have samples in common, Holm-corrected together."""
    found = []
    for a, b in itertools.combinations(scores, 2):
        compared = compare(scores[a], scores[b], seed=seed)
        if compared is not None:
            found.append((a, b, *compared))
    adjusted = holm([p_value for *_, p_value in found])
    return [
        Comparison(a=a, b=b, difference=difference, p_value=p_value, adjusted_p=corrected, num_pairs=difference.num)
        for (a, b, difference, p_value), corrected in zip(found, adjusted, strict=True)
    ]


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction: the chance of any false finding among all stays below the level."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def smallest_p(num_pairs: int, num_comparisons: int) -> float:
    """The smallest corrected p-value that so many samples can give; above the level, nothing can be significant."""
    return min(1.0, num_comparisons * 2.0 ** (1 - num_pairs))


def orient(values: Mapping[str, float], better: Better) -> dict[str, float]:
    """Values turned so that higher is better; those that aim at zero count by their distance from it."""
    if better is Better.ZERO:
        return {sample: -abs(value) for sample, value in values.items()}
    sign = -1.0 if better is Better.LOWER else 1.0
    return {sample: sign * value for sample, value in values.items()}


def rank(scores: Mapping[str, Scores], comparisons: list[Comparison], alpha: float = 0.05) -> list[Ranked]:
    """Methods by rank, those of equal rank by their means; methods that differ only by chance tie.

    A tie is not transitive: A may tie with B and B with C while A beats C. A and B are then first, C second, and B is
    named among the ties of both. Methods without a common sample are not compared, hence tied.
    """
    winners: dict[str, set[str]] = {method: set() for method in scores}
    apart = {method: {method} for method in scores}
    for found in comparisons:
        if found.is_significant(alpha):
            first, second = (found.a, found.b) if found.difference.value > 0 else (found.b, found.a)
            winners[second].add(first)
            apart[found.a].add(found.b)
            apart[found.b].add(found.a)
    means = {method: float(np.mean(list(values.values()))) for method, values in scores.items()}
    order = sorted(scores, key=lambda method: (len(winners[method]), -means[method], method))
    return [
        Ranked(
            method=method,
            rank=1 + len(winners[method]),
            ties=tuple(other for other in order if other not in apart[method]),
        )
        for method in order
    ]
