"""What a step of the check finds out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

REST: Final = "the rest"
"""What a figure is of that stands for all that a step has not measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line of the result; what does not apply is None."""

    what: str
    """What was measured."""
    seconds: float | None = None
    """Median time of one run."""
    flops_per_s: float | None = None
    """Operations a second; a multiplication and an addition count as two, what is computed twice counts once."""
    peak_gb: float | None = None
    """Memory that the run needs beside weights and inputs, in 10⁹ bytes."""
    error: float | None = None
    """‖result − reference‖ / ‖reference‖."""
    ratio: float | None = None
    """Time of this run divided by the reference's."""
    reference: str | None = None
    """What `ratio` or `error` compares with."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """Further values, by names that give their units."""
    missing: str | None = None
    """Why nothing could be measured."""

    def as_line(self, step: str) -> dict[str, Any]:
        """The figure as a JSON object, without what does not apply."""
        values = {name: value for name, value in asdict(self).items() if value is not None and name != "also"}
        return {"step": step, **values, **self.also}


def reason(error: BaseException) -> str:
    """An exception as one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
