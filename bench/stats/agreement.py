"""Krippendorff's α: how far people agree beyond chance, with ratings missing (Krippendorff 2011, α-reliability)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.stats.bootstrap import Interval, bootstrap_statistic

Level = Literal["nominal", "ordinal", "interval"]
Array = npt.NDArray[np.float64]


def krippendorff_alpha(ratings: npt.ArrayLike, level: Level) -> float | None:
    """Krippendorff's α: 1 is full agreement, 0 that of chance; below 0 people disagree systematically.

    Args:
        ratings: (units, raters), NaN where a rater gave none. Units rated by fewer than two people say nothing.
        level: what counts of two ratings: only whether they are equal, their order, or their distance.

    Returns:
        None where it is undefined: nothing rated twice, or every rating the same.

    Raises:
        ValueError: not a table of two dimensions.
    """
    table = np.asarray(ratings, np.float64)
    if table.ndim != 2:
        raise ValueError(f"ratings are a table of units and raters, got {table.ndim} dimension(s)")
    categories = np.unique(table[~np.isnan(table)])
    if not len(categories):
        return None
    # (units, categories): how many raters gave each value.
    counts = np.stack([(table == category).sum(axis=1) for category in categories], axis=1).astype(np.float64)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        return None
    # Pairs of values within a unit, each unit weighted by its number of ratings.
    weighted = counts / (counts.sum(axis=1, keepdims=True) - 1)
    coincidences = counts.T @ weighted - np.diag(weighted.sum(axis=0))
    totals = coincidences.sum(axis=1)
    distances = _squared_distances(categories, totals, level)
    expected = float(totals @ distances @ totals) / float(totals.sum() - 1)
    if expected == 0:
        return None
    observed = float((coincidences * distances).sum())
    return 1 - observed / expected


def agreement(ratings: npt.ArrayLike, level: Level, *, num_resamples: int = 1000, seed: int = 0) -> Interval | None:
    """α with an interval from a bootstrap over units; None where α is undefined."""
    table = np.asarray(ratings, np.float64)
    return bootstrap_statistic(
        table, lambda rows: krippendorff_alpha(rows, level), num_resamples=num_resamples, seed=seed
    )


def _squared_distances(categories: Array, totals: Array, level: Level) -> Array:
    if level == "nominal":
        return np.asarray(1 - np.eye(len(categories)), np.float64)
    # Ranks of ordinal values: the number of ratings below, plus half of those with the same value.
    places = np.cumsum(totals) - totals / 2 if level == "ordinal" else categories
    return np.asarray((places[:, None] - places[None]) ** 2, np.float64)
