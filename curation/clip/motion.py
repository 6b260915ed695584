"""How the camera and the main subject of a clip move, as kept in the clip's scores.

Measured once, before captions: the caption states these numbers, and the consistency check compares any caption with
the same numbers. Directions are those of the picture as the viewer sees it; rates are means over the clip.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Self

from curation.clip.schema import Clip, Score


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scores:
    """Fields that live in a clip's scores under a common prefix."""

    _prefix: ClassVar[str]

    def scores(self) -> dict[str, Score]:
        """The fields by their score names."""
        return {f"{self._prefix}_{f.name}": getattr(self, f.name) for f in fields(self)}

    @classmethod
    def unknown(cls) -> dict[str, Score]:
        """The same names without values: the motion could not be measured."""
        return {f"{cls._prefix}_{f.name}": None for f in fields(cls)}

    @classmethod
    def of(cls, clip: Clip) -> Self | None:
        """What was measured on `clip`, or None where it could not be measured (or has not been)."""
        values = {f.name: clip.scores.get(f"{cls._prefix}_{f.name}") for f in fields(cls)}
        return None if None in values.values() else cls(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraMotion(_Scores):
    """Global motion of the background, people left out."""

    pan_per_s: float
    """Widths of the picture per second; positive when the camera turns to the right."""
    tilt_per_s: float
    """Heights of the picture per second; positive when the camera turns up."""
    zoom_per_s: float
    """Growth of the logarithm of the scale per second; positive when zooming in."""
    roll_deg_per_s: float
    """Degrees per second; positive when the camera turns clockwise (the picture then turns anticlockwise)."""
    speed_per_s: float
    """Mean displacement of the picture's corners and centre, any motion, in diagonals per second; not
    negative. Unlike the signed rates it does not cancel when the camera goes back and forth."""
    shake_per_s: float
    """Median change of the centre's velocity from one keyframe pair to the next, in diagonals per second:
    about 0 for a steady camera and for an even pan, whatever its speed."""

    _prefix: ClassVar[str] = "camera"


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectMotion(_Scores):
    """The largest face's path with the camera's motion taken out."""

    dx_per_s: float
    """Widths of the picture per second; positive to the right."""
    dy_per_s: float
    """Heights of the picture per second; positive downwards."""
    scale_per_s: float
    """Growth of the logarithm of the face's size per second; positive towards the camera."""
    travel_heads: float
    """Largest distance between two places that the face was at, in head heights (one is about 0.23 m)."""
    coverage: float
    """Share of the clip's keyframes on which the face was followed, in [0, 1]."""

    _prefix: ClassVar[str] = "subject"
