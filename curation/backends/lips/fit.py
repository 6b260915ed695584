"""Fitting the map from mouth motion and sound to what they share: regularised canonical correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from curation.backends.lips.mouth_motion import LipSoundMap, with_context

NUM_DIRECTIONS = 6
RIDGE = 1.0
"""Added to each covariance's diagonal, in units of its mean eigenvalue: neighbouring frames and bands are nearly equal,
and the fit must not rest on their differences."""

Features = npt.NDArray[np.float32]


def fit_map(pairs: Sequence[tuple[Features, Features]]) -> LipSoundMap:
    """Fit on in-sync `(mouth (N, 40), sound (N, 24))` pairs; deterministic up to a common sign."""
    lips = np.concatenate([with_context(mouth) for mouth, _ in pairs]).astype(np.float64)
    sound = np.concatenate([with_context(heard) for _, heard in pairs]).astype(np.float64)
    whiten_lips, whiten_sound = _whitening(lips), _whitening(sound)
    shared = whiten_lips @ (lips.T @ sound / len(lips)) @ whiten_sound
    left, correlations, right = np.linalg.svd(shared, full_matrices=False)
    return LipSoundMap(
        lips=(whiten_lips @ left[:, :NUM_DIRECTIONS]).astype(np.float32),
        sound=(whiten_sound @ right[:NUM_DIRECTIONS].T).astype(np.float32),
        weights=correlations[:NUM_DIRECTIONS].astype(np.float32),
    )


def _whitening(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Symmetric inverse square root of the ridged covariance of `(N, D)`."""
    covariance = values.T @ values / len(values)
    covariance += RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    variances, axes = np.linalg.eigh(covariance)
    return np.asarray(axes / np.sqrt(variances) @ axes.T)
