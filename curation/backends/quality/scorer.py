"""How good a clip looks: what a scorer returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from curation.clip.schema import Clip


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityScore:
    """How good one clip looks, as one number and its parts."""

    score: float
    """Overall quality in [0, 100], higher is better."""
    parts: Mapping[str, float]
    """Further measures by name, in the units of the scorer; they become columns `quality_<name>`."""


class UnscoredError(Exception):
    """A clip that a scorer can give no score; `rule` is the short reason that goes into records."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


class QualityScorer(Protocol):
    """Rates a clip without a reference; reads what the clip carries or the span of its file."""

    def score(self, clip: Clip) -> QualityScore:
        """The quality of `clip`.

        Raises:
            UnscoredError: it has none.
        """
        ...
