"""Where the hands are: boxes beyond the wrists, along the forearms."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from curation.backends.pose.found_person import FoundPerson
from curation.clip.people import Joint

Float = npt.NDArray[np.float64]

ARMS: Final = {
    "left": (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW, Joint.LEFT_WRIST),
    "right": (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST),
}
BEYOND_WRIST: Final = 0.37
"""Forearms from the wrist to the middle of a stretched hand: half of 19 cm over 26 cm."""
SIDE: Final = 1.2
"""Side of the box in forearms, about 31 cm: a stretched hand with some room, and a fist in the middle."""
FOREARM_OF_UPPER_ARM: Final = 0.9
FOREARM_OF_HEAD: Final = 1.1
"""How long a forearm is: one that points at the camera shows shorter than it is, so the longest estimate counts."""


def hand_box(arm: str, person: FoundPerson, sure: npt.NDArray[np.bool_], head_height: float) -> Float | None:
    """The box of the hand of an arm (`left` or `right`): x0, y0, x1, y1 in pixels.

    None where elbow or wrist is not seen: without the forearm nothing says to which side of the wrist the hand is.
    """
    shoulder, elbow, wrist = ARMS[arm]
    if not (sure[elbow] and sure[wrist]):
        return None
    joints = person.joints
    forearm = joints[wrist] - joints[elbow]
    length = max(float(np.linalg.norm(forearm)), FOREARM_OF_HEAD * head_height)
    if sure[shoulder]:
        length = max(length, FOREARM_OF_UPPER_ARM * float(np.linalg.norm(joints[elbow] - joints[shoulder])))
    middle, half = joints[wrist] + BEYOND_WRIST * forearm, SIDE * length / 2
    return np.concatenate([middle - half, middle + half])
