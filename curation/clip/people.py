"""People as a keypoint model sees them on the keyframes of a clip: joints, and where the hands are.

Boxes and joints are fractions of the clip's picture, as those of faces are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from curation.clip.observations import Box


class Joint(IntEnum):
    """The 17 joints of COCO in their order; left and right are the person's own."""

    NOSE = 0
    LEFT_EYE = 1
    RIGHT_EYE = 2
    LEFT_EAR = 3
    RIGHT_EAR = 4
    LEFT_SHOULDER = 5
    RIGHT_SHOULDER = 6
    LEFT_ELBOW = 7
    RIGHT_ELBOW = 8
    LEFT_WRIST = 9
    RIGHT_WRIST = 10
    LEFT_HIP = 11
    RIGHT_HIP = 12
    LEFT_KNEE = 13
    RIGHT_KNEE = 14
    LEFT_ANKLE = 15
    RIGHT_ANKLE = 16


@dataclass(frozen=True, slots=True)
class Keypoint:
    """One joint of one person."""

    x: float
    y: float
    confidence: float
    """The model's own score: RTMO gives a probability, RTMPose a height of a peak that can exceed 1."""
    seen: bool = True
    """Whether the model is sure enough of it and it lies within the picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hands:
    """Boxes around a person's own left and right hand; None where the forearm is not seen."""

    left: Box | None = None
    right: Box | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipPerson:
    """One person followed over the keyframes; as many of everything as times."""

    times_s: tuple[float, ...]
    boxes: tuple[Box, ...]
    """The part of the person that is seen."""
    keypoints: tuple[tuple[Keypoint, ...], ...]
    """The 17 joints in the order of `Joint`."""
    hands: tuple[Hands, ...]
