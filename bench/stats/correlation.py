"""Whether a metric orders videos as people do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import MIN_VALUES, Interval

Array = npt.NDArray[np.float64]

LEVEL: Final = 0.95
MIN_PAIRS: Final = 4
"""With three points a rank correlation can take only about four values, which is of no use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Correlation:
    """Rank correlations of two scores over the same things."""

    spearman: Interval
    kendall: Interval
    num: int
    """Things that have both scores."""


def correlate(a: Mapping[str, float], b: Mapping[str, float], *, num_resamples: int = 1000) -> Correlation | None:
    """Spearman's ρ and Kendall's τ-b over common keys, with bootstrap intervals.

    None with fewer than four common keys, or where one score is the same everywhere.
    """
    common = sorted(set(a) & set(b))
    if len(common) < MIN_PAIRS:
        return None
    pairs = np.array([(a[key], b[key]) for key in common], np.float64)
    if np.any(pairs.max(axis=0) == pairs.min(axis=0)):
        return None
    chance = np.random.default_rng(0)
    # The first draw has each thing once: it is the sample itself.
    draws = chance.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), num_resamples).astype(np.float64)
    counts = np.concatenate([np.ones((1, len(pairs))), draws])
    return Correlation(
        spearman=_interval(_spearman(pairs, counts), len(pairs)),
        kendall=_interval(_kendall(pairs, counts), len(pairs)),
        num=len(pairs),
    )


def _interval(drawn: Array, num: int) -> Interval:
    known = drawn[1:][np.isfinite(drawn[1:])]
    low, high = None, None
    if num >= MIN_VALUES and len(known) > len(drawn) / 2:
        low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Interval(value=float(drawn[0]), low=low, high=high, num=num, level=LEVEL)


def _spearman(pairs: Array, counts: Array) -> Array:
    """ρ of every draw, `(draws,)`; NaN where all drawn values are the same.

    Ranks within a draw are sums over the drawn values, so one matrix product gives the ranks of all draws.
    """
    ranks = []
    for values in pairs.T:
        below = (values[None] < values[:, None]) + 0.5 * (values[None] == values[:, None])
        ranks.append(counts @ below.T)
    total = counts.sum(axis=1, keepdims=True)
    first, second = (rank - (counts * rank).sum(axis=1, keepdims=True) / total for rank in ranks)
    spread = (counts * first**2).sum(axis=1) * (counts * second**2).sum(axis=1)
    return _ratio((counts * first * second).sum(axis=1), spread)


def _kendall(pairs: Array, counts: Array) -> Array:
    """τ-b of every draw, `(draws,)`; NaN where all drawn values are the same."""
    first, second = (np.sign(values[:, None] - values[None]) for values in pairs.T)
    together = ((counts @ (first * second)) * counts).sum(axis=1)
    apart = [((counts @ np.abs(signs)) * counts).sum(axis=1) for signs in (first, second)]
    return _ratio(together, apart[0] * apart[1])


def _ratio(above: Array, squared: Array) -> Array:
    known = squared > 1e-9
    return np.where(known, above / np.sqrt(np.where(known, squared, 1.0)), np.nan)
