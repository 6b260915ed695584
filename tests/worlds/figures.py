"""People whose proportions are known: the joints of an upright figure of eight heads, as a pose network would find
them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curation.backends.pose.found_person import FoundPerson
from curation.clip.people import Joint

HEADS: dict[Joint, tuple[float, float]] = {
    Joint.NOSE: (0.0, 0.66),
    Joint.LEFT_EYE: (0.14, 0.53),
    Joint.RIGHT_EYE: (-0.14, 0.53),
    Joint.LEFT_EAR: (0.26, 0.62),
    Joint.RIGHT_EAR: (-0.26, 0.62),
    Joint.LEFT_SHOULDER: (0.65, 1.5),
    Joint.RIGHT_SHOULDER: (-0.65, 1.5),
    Joint.LEFT_ELBOW: (0.9, 2.8),
    Joint.RIGHT_ELBOW: (-0.9, 2.8),
    Joint.LEFT_WRIST: (0.9, 3.9),
    Joint.RIGHT_WRIST: (-0.9, 3.9),
    Joint.LEFT_HIP: (0.45, 3.7),
    Joint.RIGHT_HIP: (-0.45, 3.7),
    Joint.LEFT_KNEE: (0.4, 5.8),
    Joint.RIGHT_KNEE: (-0.4, 5.8),
    Joint.LEFT_ANKLE: (0.4, 7.6),
    Joint.RIGHT_ANKLE: (-0.4, 7.6),
}
"""Places from in front: head heights to the right of the middle in the picture, and below the crown."""
FACE = (Joint.NOSE, Joint.LEFT_EYE, Joint.RIGHT_EYE, Joint.LEFT_EAR, Joint.RIGHT_EAR)


def figure(
    x: float,
    crown: float,
    head: float,
    *,
    unseen: tuple[Joint, ...] = (),
    moved: dict[Joint, tuple[float, float]] | None = None,
) -> FoundPerson:
    """An upright figure in pixels.

    Args:
        x: its middle.
        crown: its upper end.
        head: the height of its head.
        unseen: joints that the network is not sure of.
        moved: other places of joints, in head heights.
    """
    places = {**HEADS, **(moved or {})}
    joints: npt.NDArray[np.float64] = np.array([places[joint] for joint in Joint]) * head + (x, crown)
    scores = np.array([0.1 if joint in unseen else 0.9 for joint in Joint])
    box = np.array([x - 1.1 * head, crown, x + 1.1 * head, crown + 8 * head])
    return FoundPerson(box=box, joints=joints, scores=scores)
