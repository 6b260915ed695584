"""From where on two clips are the same."""

from __future__ import annotations

from dataclasses import dataclass

from curation.clip.fingerprint import STEPS_PER_S


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicatesConfig:
    """Thresholds of near duplicates; the study `bench.studies.duplicates` measures them."""

    max_distance: float = 0.4
    """Of the courses of two clips in time: one minus their correlation, where they agree best."""
    max_shift_s: float = 1.5
    """How much later one copy may begin than the other."""
    min_look: float = 0.55
    """Scalar product of two looks from which clips may show the same scene."""
    min_embedding: float = 0.9
    """The same of two embeddings, where there are any [not tried with real weights]."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if not 0 < self.max_distance < 1:
            raise ValueError(f"max_distance must lie between 0 and 1, got {self.max_distance:g}")
        if not 0 <= self.max_shift_s <= 10:
            raise ValueError(f"max_shift_s must lie between 0 and 10, got {self.max_shift_s:g}")
        if not (0 < self.min_look < 1 and 0 < self.min_embedding < 1):
            raise ValueError("min_look and min_embedding must lie between 0 and 1")

    @property
    def max_lag(self) -> int:
        """The shift in steps of a course."""
        return round(self.max_shift_s * STEPS_PER_S)
