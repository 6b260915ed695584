"""Where a person's head is and how much of them is seen, told from the joints, by the figure of eight heads.

The figure is that of `curation.backends.faces.figure`. A joint that is seen says more than the figure does: a seated or
bent person's hips are where the hips are.

The head's proportions were measured on 143 keyframes of 14 labelled clips, with MediaPipe's pose network for the
joints and the head as `head_box` gives it for dlib's faces (median of the clips; least and largest clip). In head
heights: eyes 0.28 apart (0.24 to 0.33), ears 0.51 (0.42 to 0.60); below the crown, eyes 0.53 (0.48 to 0.61), ears 0.62
(0.55 to 0.69), nose 0.66 (0.59 to 0.72), shoulders 1.33 (1.18 to 1.58); from shoulders to hips 1.8 (1.5 to 1.8). A head
made of joints by the rules below is 0.99 of that of the face (0.83 to 1.17 for nine keyframes of ten); by the shoulders
alone, where both are within the picture, 0.82 to 1.19 in the clips' medians.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from curation.backends.pose.estimator import Pose
from curation.backends.pose.found_person import FoundPerson
from curation.clip.people import Joint, Keypoint

EYES_APART: Final = 0.28
EARS_APART: Final = 0.58
"""Head heights. The widest measured rather than the middle: MediaPipe's ears lie further in than COCO's."""
NOSE_TO_EAR: Final = 0.57
"""Head heights from the tip of the nose to the ear in profile, 13 cm of a head of 23 cm: where the head is turned, eyes
and ears seem too near to each other. From in front it is half as much."""
BELOW_CROWN: Final = {
    Joint.NOSE: 0.66,
    Joint.LEFT_EYE: 0.53,
    Joint.RIGHT_EYE: 0.53,
    Joint.LEFT_EAR: 0.62,
    Joint.RIGHT_EAR: 0.62,
}
"""Places of the head's joints, in head heights below the crown."""
SHOULDERS_BELOW_CROWN: Final = 1.4
"""Where the shoulders are on real people, between the measured and the figure's 1.5."""
SHOULDERS_APART: Final = 1.3
TRUNK: Final = 1.8
"""Head heights from shoulders to hips."""
HALF_WIDTH: Final = 0.65
"""Half the width of a head with hair, in head heights, as in `head_box`."""

LEVELS: Final = (
    ((Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER), 1.5),
    ((Joint.LEFT_HIP, Joint.RIGHT_HIP), 3.7),
    ((Joint.LEFT_KNEE, Joint.RIGHT_KNEE), 5.8),
    ((Joint.LEFT_ANKLE, Joint.RIGHT_ANKLE), 7.6),
)
"""Joints by their height on the figure, in heads below the crown: the joint of the hip is a little above the crotch
(4), that of the knee above the knee's lower edge (6), that of the ankle above the sole (8). Arms say nothing: a hand
may be raised to the face."""
SOLES: Final = 8.0
NEXT_LEVELS: Final = (*(level for _, level in LEVELS[1:]), SOLES)

Float = npt.NDArray[np.float64]


def head_of(person: FoundPerson, sure: npt.NDArray[np.bool_]) -> Float:
    """The head from crown to chin: x0, y0, x1, y1 in pixels, which may reach beyond the picture.

    From nose, eyes and ears; where fewer than two of them are seen, from the shoulders; where those are not seen
    either, the upper end of the person's box.
    """
    joints = person.joints
    head = [joint for joint in BELOW_CROWN if sure[joint]]
    height = _height_by_head(joints, sure)
    if height > 0:
        crown = float(np.mean([joints[joint, 1] - BELOW_CROWN[joint] * height for joint in head]))
        middle = float(joints[head, 0].min() + joints[head, 0].max()) / 2
        return _head_box(middle, crown, height)
    shoulders = joints[[Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER]]
    if sure[Joint.LEFT_SHOULDER] and sure[Joint.RIGHT_SHOULDER]:
        height = float(np.linalg.norm(shoulders[0] - shoulders[1])) / SHOULDERS_APART
        if sure[Joint.LEFT_HIP] and sure[Joint.RIGHT_HIP]:
            hips = joints[[Joint.LEFT_HIP, Joint.RIGHT_HIP]]
            height = max(height, float(np.linalg.norm(shoulders.mean(axis=0) - hips.mean(axis=0))) / TRUNK)
        middle, y = (float(value) for value in shoulders.mean(axis=0))
        return _head_box(middle, y - SHOULDERS_BELOW_CROWN * height, height)
    x0, y0, x1, y1 = person.box
    lowest = max((place for pair, place in LEVELS if sure[list(pair)].any()), default=SOLES)
    return _head_box((x0 + x1) / 2, y0, (y1 - y0) / lowest)


def visible_heads(person: FoundPerson, sure: npt.NDArray[np.bool_], head: Float, picture_height: float) -> float:
    """How far down the person is seen, in heads below the crown on the figure of eight.

    The lowest joint that is seen, and what is seen below it: down to the lower end of the person's box or the picture,
    but not as far as the next joint, which is not seen.
    """
    crown, head_height = float(head[1]), float(head[3] - head[1])
    end = min(float(person.box[3]), picture_height)
    place, y, limit = 0.0, crown, LEVELS[0][1]
    for (pair, level), next_level in zip(LEVELS, NEXT_LEVELS, strict=True):
        seen = [joint for joint in pair if sure[joint]]
        if seen:
            # Down to the shoulders the head says where things are, below them the joints.
            if level > LEVELS[0][1]:
                place, y = level, float(person.joints[seen, 1].mean())
            limit = next_level
    return min(place + max(0.0, end - y) / head_height, limit)


def height_on(pose: Pose, heads: float, picture_height: float) -> float:
    """Where a pose has what lies `heads` below the crown on the figure, in pixels of a picture of that height.

    Between two joints that are seen it is in proportion between them, otherwise whole head heights on from the nearest
    joint above; by the head alone where no joints are known.
    """
    head = pose.head.height * picture_height
    place, y = 0.0, pose.head.y0 * picture_height
    for level, at in _levels(pose.keypoints):
        level_y = at * picture_height
        if heads < level:
            # Above the shoulders the head says where things are.
            return y + (heads - place) / (level - place) * (level_y - y) if place else y + heads * head
        place, y = level, level_y
    return y + (heads - place) * head


def _levels(keypoints: tuple[Keypoint, ...]) -> list[tuple[float, float]]:
    """Heights on the figure and in fractions of the picture of the pairs of joints that are seen."""
    levels = []
    for pair, place in LEVELS:
        seen = [keypoints[joint].y for joint in pair if keypoints and keypoints[joint].seen]
        if seen:
            levels.append((place, sum(seen) / len(seen)))
    return levels


def _height_by_head(joints: Float, sure: npt.NDArray[np.bool_]) -> float:
    """The largest that a pair of the head's joints speaks for: a turned head shows every distance too short. 0 where no
    pair is seen."""
    pairs = (
        (Joint.LEFT_EYE, Joint.RIGHT_EYE, EYES_APART),
        (Joint.LEFT_EAR, Joint.RIGHT_EAR, EARS_APART),
        (Joint.NOSE, Joint.LEFT_EAR, NOSE_TO_EAR),
        (Joint.NOSE, Joint.RIGHT_EAR, NOSE_TO_EAR),
    )
    return max(
        (float(np.linalg.norm(joints[a] - joints[b])) / heads for a, b, heads in pairs if sure[a] and sure[b]),
        default=0.0,
    )


def _head_box(middle: float, crown: float, height: float) -> Float:
    height = max(height, 1.0)
    return np.array([middle - HALF_WIDTH * height, crown, middle + HALF_WIDTH * height, crown + height])
