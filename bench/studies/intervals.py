"""How sure a mean is: percentile bootstrap over videos or people."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

NUM_RESAMPLES: Final = 10_000


def bootstrap_mean(values: npt.ArrayLike, *, level: float = 0.95, seed: int = 0) -> tuple[float, float, float]:
    """Mean of independent values, and the ends of its percentile bootstrap interval.

    Raises:
        ValueError: no values, or one that is not a number.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise ValueError(f"a bootstrap needs a list of finite values, got {array}")
    chosen = np.random.default_rng(seed).integers(0, len(array), (NUM_RESAMPLES, len(array)))
    low, high = np.quantile(array[chosen].mean(axis=1), [(1 - level) / 2, (1 + level) / 2]).tolist()
    return float(array.mean()), low, high
