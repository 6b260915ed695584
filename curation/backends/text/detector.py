"""Finding written text in a picture: what a detector returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from curation.clip.observations import Box


@dataclass(frozen=True, kw_only=True, slots=True)
class TextBox:
    """One run of text as a detector outlines it."""

    box: Box
    """The upright rectangle around the run."""
    confidence: float
    """The detector's score in [0, 1]."""
    angle_deg: float
    """Slant of the run's baseline, clockwise from horizontal."""


class TextDetector(Protocol):
    """Outlines text; does not have to read it."""

    def detect(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[TextBox, ...]]:
        """The text in each `(H, W, 3)` BGR picture, from top to bottom; sizes may differ."""
        ...
