"""Numbers that metrics give of videos: their names, their units, and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Better(StrEnum):
    """Which direction of a value is better."""

    HIGHER = "higher"
    LOWER = "lower"
    ZERO = "zero"
    """The nearer to 0 the better, whether above or below."""
    NEITHER = "neither"
    """Evidence: it describes, it does not rank."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """One named number that a metric gives."""

    name: str
    better: Better
    unit: str
    """Empty for a pure number."""
    about: str
    """One line."""
