"""A picture as a few numbers that a network gives it: near to one another where two pictures show the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from curation.backends.picture.cut_checker import Picture

DIMENSIONS: Final = 128
"""Of what is stored: random projections, which keep scalar products to some 0.06."""


@runtime_checkable
class PictureEmbedder(Protocol):
    """Embeds pictures."""

    def embed(self, pictures: Sequence[Picture]) -> list[bytes]:
        """128 signed bytes for each picture."""
        ...


def projected(vector: npt.NDArray[np.float32]) -> bytes:
    """`(D,)` → 128 signed bytes, the largest 127; the same projections each time."""
    directions = np.random.default_rng(0).standard_normal((len(vector), DIMENSIONS), np.float32)
    low = vector @ directions
    scaled: npt.NDArray[np.int8] = np.asarray(np.rint(low * (127.0 / max(float(np.abs(low).max()), 1e-12))), np.int8)
    return scaled.tobytes()
