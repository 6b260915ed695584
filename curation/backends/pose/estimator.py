"""People and how much of them is seen: the interface of estimators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from curation.clip.observations import Box
from curation.clip.people import Hands, Keypoint
from curation.clip.schema import Clip


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """One person on one keyframe."""

    box: Box
    """The part of the person that is seen."""
    head: Box
    """Crown to chin."""
    visible_heads: float
    """How far down the person is seen, in head heights below the crown on a figure of eight heads: chin 1,
    shoulders 1.5, crotch 4, knees 6, soles 8. A keypoint model gives the lowest joint it is sure of, and what is seen
    below it."""
    keypoints: tuple[Keypoint, ...] = ()
    """The 17 joints of COCO in their order; empty where the backend finds none."""
    hands: Hands = Hands()
    """Boxes around the hands, from elbows and wrists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackedPerson:
    """One person followed over the keyframes; as many poses as times."""

    times_s: tuple[float, ...]
    poses: tuple[Pose, ...]


class PoseEstimator(Protocol):
    """Finds people on a clip's keyframes and follows them (paper: MMPose, tracked)."""

    def people(self, clip: Clip) -> tuple[TrackedPerson, ...]:
        """Everyone who was seen; the main person first."""
        ...
