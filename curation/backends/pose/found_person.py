"""One person as a network finds them on one picture, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundPerson:
    """Box and joints in pixels of the picture, which they may reach beyond."""

    box: npt.NDArray[np.float64] = field(repr=False)
    """`(4,)` x0, y0, x1, y1."""
    joints: npt.NDArray[np.float64] = field(repr=False)
    """`(17, 2)` x, y in the order of `Joint`."""
    scores: npt.NDArray[np.float64] = field(repr=False)
    """`(17,)` how sure the network is of each joint, on its own scale."""

    def sure(self, min_score: float, width: int, height: int) -> npt.NDArray[np.bool_]:
        """`(17,)` which joints are seen: sure enough and within a picture of `width` × `height` pixels."""
        inside = (self.joints >= 0).all(axis=1) & (self.joints <= (width, height)).all(axis=1)
        return np.asarray(inside & (self.scores >= min_score), np.bool_)
