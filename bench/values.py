"""What is told of videos as numbers: a name, a unit, and which way is good."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Better(StrEnum):
    """Which way a value is good."""

    HIGHER = "higher"
    LOWER = "lower"
    ZERO = "zero"
    """The nearer to 0 the better, from both sides."""
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
