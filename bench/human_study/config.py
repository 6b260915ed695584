"""How a study is put together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """How the study is put together."""

    seed: int = 0
    """Of the videos' names, the order of trials and the attention checks."""
    num_checks: int = 3
    """Attention checks that every rater is given; a rater who fails one is left out."""
    per_rater: int | None = None
    """Videos that a rater is shown, drawn at random for each; None for all."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.num_checks < 0 or (self.per_rater is not None and self.per_rater < 1):
            raise ValueError("num_checks must not be negative, and per_rater at least 1")
