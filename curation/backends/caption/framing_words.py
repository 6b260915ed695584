"""Where in the picture the main face is, how large it is and how it moves there, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from curation.backends.faces.figure import HEADS_PER_FACE, main_track
from curation.clip.motion import SubjectMotion
from curation.clip.people import ClipPerson, Joint
from curation.clip.schema import Clip

LEFT_BELOW, RIGHT_FROM = 0.42, 0.58
"""Middle of the face, in picture widths; a person in the golden section is at 0.38 or 0.62."""
HIGH_BELOW, LOW_FROM = 0.3, 0.6
"""The same in picture heights."""
SIZES: Final = (
    *((0.065, "a twentieth"), (0.11, "a tenth"), (0.145, "an eighth"), (0.175, "a sixth"), (0.225, "a fifth")),
    *((0.29, "a quarter"), (0.4, "a third"), (0.58, "half"), (0.75, "two thirds")),
)
"""Head height in picture heights, up to which each fraction is the nearest."""
STILL_HEADS, SWAYING_HEADS = 0.12, 0.5
"""Travel of the face in head heights, below which a head hardly moves, or sways [the labelled clips: up to 0.44]."""
MIN_COVERAGE: Final = 0.5
"""Share of the keyframes on which face or hands must have been followed."""
HANDS_MOVE_HEADS: Final = 0.5
"""Distance between two places of a wrist, in head heights, from which hands move: about 0.12 m."""
VERTICAL_BELOW, HORIZONTAL_FROM = 0.95, 1.05
"""Width over height."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Framing:
    """The main face in the picture."""

    across: str
    """`on the left`, `in the middle` or `on the right`."""
    down: str | None
    """`high` or `low` in the picture; None between."""
    size: str
    """The fraction of the picture's height that the head takes."""

    @property
    def place(self) -> str:
        """Where it is."""
        return f"{self.down} {self.across}" if self.down else self.across

    @classmethod
    def of(cls, clip: Clip) -> Self | None:
        """That of a clip; None where no face was followed."""
        track = main_track(clip.tracks)
        if track is None:
            return None
        x, y = np.median([face.box.centre for face in track.faces], axis=0)
        head = float(np.median([face.box.height for face in track.faces])) * HEADS_PER_FACE
        return cls(
            across="on the left" if x < LEFT_BELOW else "in the middle" if x < RIGHT_FROM else "on the right",
            down="high" if y < HIGH_BELOW else "low" if y >= LOW_FROM else None,
            size=next((name for end, name in SIZES if head < end), "most"),
        )


def shape(clip: Clip) -> str:
    """`vertical`, `square` or `horizontal`."""
    aspect = clip.width / clip.height
    return "vertical" if aspect < VERTICAL_BELOW else "square" if aspect < HORIZONTAL_FROM else "horizontal"


def head_motion(subject: SubjectMotion | None) -> str | None:
    """How the main head moves in the scene, camera motion taken out; None where it was not followed."""
    if subject is None or subject.coverage < MIN_COVERAGE:
        return None
    if subject.travel_heads < STILL_HEADS:
        return "hardly moves"
    return "sways a little" if subject.travel_heads < SWAYING_HEADS else "moves"


def hand_motion(people: Sequence[ClipPerson], clip: Clip) -> str | None:
    """How the main person's hands move against the shoulders; None where no joints tell."""
    if not people:
        return None
    travels = [travel for side in (0, 1) if (travel := _wrist_travel(people[0], clip, side)) is not None]
    if not travels:
        return None
    moving = sum(travel >= HANDS_MOVE_HEADS for travel in travels)
    if len(travels) == 2 and moving != 1:
        return "move" if moving else "are held still"
    # Of one hand, the other may be anywhere.
    return "move" if moving else None


def _wrist_travel(person: ClipPerson, clip: Clip, side: int) -> float | None:
    """How far a wrist gets from where it was, seen from between the shoulders, in head heights."""
    shoulders = (Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER)
    wrist = (Joint.LEFT_WRIST, Joint.RIGHT_WRIST)[side]
    seen = [pose for pose in person.keypoints if pose and all(pose[joint].seen for joint in (*shoulders, wrist))]
    if len(seen) < MIN_COVERAGE * len(clip.keyframes) or len(seen) < 2:
        return None
    size = np.array([clip.width, clip.height])
    left, right, place = (
        np.array([(pose[joint].x, pose[joint].y) for pose in seen]) * size for joint in (*shoulders, wrist)
    )
    # Shoulders are two head heights apart on the figure of eight heads.
    head = float(np.median(np.linalg.norm(left - right, axis=1))) / 2
    path = place - (left + right) / 2
    return float(np.linalg.norm(path[:, None] - path[None], axis=2).max()) / head if head else None
