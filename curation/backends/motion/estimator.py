"""Camera motion between keyframes: the interface of estimators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from curation.clip.schema import Clip


@dataclass(frozen=True, slots=True)
class PairMotion:
    """Where the background of one keyframe lies in the next."""

    matrix: npt.NDArray[np.float64]
    """`(2, 3)` similarity: pixels of the first picture to pixels of the second."""
    width: int
    """Width of the pictures that were compared, in pixels."""
    height: int
    fit: float
    """Share of the background's tracked features that move with `matrix`; 0 where no motion can be told
    (too few features, no agreement), and `matrix` is then the identity."""

    @property
    def known(self) -> bool:
        """Whether `matrix` means anything."""
        return self.fit > 0.0


class CameraEstimator(Protocol):
    """Measures global motion on a clip's keyframes."""

    def pairs(self, clip: Clip) -> tuple[PairMotion, ...]:
        """One motion for each two consecutive keyframes: N keyframes give max(0, N − 1)."""
        ...
