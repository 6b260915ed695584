"""From people found on keyframes to people followed through a clip, the main person first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from curation.backends.pose.estimator import Pose, TrackedPerson
from curation.backends.pose.found_person import FoundPerson
from curation.backends.pose.hands import hand_box
from curation.backends.pose.joint_figure import head_of, visible_heads
from curation.backends.pose.tracking import FoundTrack
from curation.clip.observations import Box
from curation.clip.people import Hands, Keypoint
from curation.clip.schema import Clip

Image = npt.NDArray[np.uint8]


def people_of_clip(
    clip: Clip, pictures: Sequence[Image], tracks: Iterable[FoundTrack], min_score: float
) -> tuple[TrackedPerson, ...]:
    """The people of `tracks` in fractions of the clip's picture; whose head covers most for longest comes first.

    Args:
        clip: the clip.
        pictures: its keyframes, in whose pixels people were found.
        tracks: who is who, by the numbers of keyframes.
        min_score: from which a joint counts as seen, on the network's own scale.
    """
    people = [
        TrackedPerson(
            times_s=tuple(clip.keyframes[index].time_s for index, _ in track),
            poses=tuple(pose_of(person, pictures[index], min_score) for index, person in track),
        )
        for track in tracks
        if track
    ]
    return tuple(sorted(people, key=lambda person: -sum(pose.head.area for pose in person.poses)))


def pose_of(person: FoundPerson, picture: Image, min_score: float) -> Pose:
    """What the joints that are seen on `picture` say of a person."""
    height, width = picture.shape[:2]
    sure = person.sure(min_score, width, height)
    head = head_of(person, sure)
    hands = {arm: hand_box(arm, person, sure, float(head[3] - head[1])) for arm in ("left", "right")}
    return Pose(
        box=_box(person.box, width, height),
        head=_box(head, width, height),
        visible_heads=visible_heads(person, sure, head, height),
        keypoints=tuple(
            Keypoint(float(x) / width, float(y) / height, float(score), bool(seen))
            for (x, y), score, seen in zip(person.joints, person.scores, sure, strict=True)
        ),
        hands=Hands(**{arm: _hand(box, width, height) for arm, box in hands.items()}),
    )


def _box(box: npt.NDArray[np.float64], width: int, height: int) -> Box:
    """A box in pixels as fractions of the picture, clipped to it."""
    x0, y0, x1, y1 = (float(value) for value in np.clip(box / (width, height, width, height), 0.0, 1.0))
    return Box(x0=x0, y0=y0, x1=x1, y1=y1)


def _hand(box: npt.NDArray[np.float64] | None, width: int, height: int) -> Box | None:
    """The same of a hand, unless its middle is outside the picture."""
    if box is None:
        return None
    x, y = (box[:2] + box[2:]) / 2
    return _box(box, width, height) if 0 <= x <= width and 0 <= y <= height else None
