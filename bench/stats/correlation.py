"""Whether a metric orders videos as people do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from bench.stats.bootstrap import Interval, bootstrap_statistic

MIN_PAIRS = 4
"""With three points a rank correlation has four values or so: no use."""


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
    spearman = bootstrap_statistic(pairs, _spearman, num_resamples=num_resamples)
    kendall = bootstrap_statistic(pairs, _kendall, num_resamples=num_resamples)
    if spearman is None or kendall is None:
        return None
    return Correlation(spearman=spearman, kendall=kendall, num=len(common))


def _varies(pairs: npt.NDArray[np.generic]) -> bool:
    return bool(np.all(pairs.max(axis=0) > pairs.min(axis=0)))


def _spearman(pairs: npt.NDArray[np.generic]) -> float | None:
    if not _varies(pairs):
        return None
    ranks = stats.rankdata(pairs, axis=0)
    return float(np.corrcoef(ranks[:, 0], ranks[:, 1])[0, 1])


def _kendall(pairs: npt.NDArray[np.generic]) -> float | None:
    return float(stats.kendalltau(pairs[:, 0], pairs[:, 1]).statistic) if _varies(pairs) else None
