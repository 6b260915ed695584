"""Who is who from one keyframe to the next: people matched by the overlap of their boxes and the distance of their
joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from curation.backends.pose.found_person import FoundPerson

FoundTrack = list[tuple[int, FoundPerson]]
"""One person followed: number of the keyframe and what was found there, in order of time."""

MIN_SIMILARITY: Final = 0.2
"""Below this two people are not the same one [our choice]."""
MAX_GAP_KEYFRAMES: Final = 4
"""Keyframes that a person may be missed on (2 s at 2 keyframes a second), as for faces."""
SIGMAS: Final = np.array(
    [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], np.float64
) / 1000  # fmt: skip
"""How far annotators of COCO place each joint apart, over the root of a person's area: the constants of its measure
(OKS), in the order of `Joint`."""
TOLERANCE: Final = 3.0
"""Times as far as annotators: people move in the half second between keyframes [our choice]."""
MIN_JOINTS: Final = 3
"""Joints seen on both keyframes from which their distance counts beside the boxes."""
PREDICTED: Final = 2 / 3
"""Weight of where a person would be who goes on at the same speed; the rest is that of one who stopped."""


def follow(people: Sequence[Sequence[FoundPerson]], min_score: float) -> list[FoundTrack]:
    """Tracks of the people on each keyframe; every one of them is in exactly one track.

    On each keyframe people and tracks are paired so that the sum of similarities is largest (Hungarian method). Two who
    cross are told apart by their speeds: a track is expected where its last two keyframes lead.

    Args:
        people: who was found on each keyframe.
        min_score: from which a joint counts, on the network's own scale.
    """
    tracks: list[FoundTrack] = []
    for index, found in enumerate(people):
        within = [track for track in tracks if index - track[-1][0] <= MAX_GAP_KEYFRAMES + 1]
        similarity = np.array([[_similarity(track, index, person, min_score) for person in found] for track in within])
        similarity = similarity.reshape(len(within), len(found))
        similarity[similarity < MIN_SIMILARITY] = 0.0
        pairs = {
            int(column): within[row]
            for row, column in zip(*linear_sum_assignment(similarity, maximize=True), strict=True)
            if similarity[row, column] > 0.0
        }
        for number, person in enumerate(found):
            if number in pairs:
                pairs[number].append((index, person))
            else:
                tracks.append([(index, person)])
    return tracks


def _similarity(track: FoundTrack, index: int, person: FoundPerson, min_score: float) -> float:
    """How alike a person on keyframe `index` and the last of a track are, in [0, 1]."""
    last_index, last = track[-1]
    still = _overlap_and_joints(last, person, np.zeros(2), min_score)
    if len(track) == 1:
        return still
    before_index, before = track[-2]
    step = _displacement(before, last, min_score) * (index - last_index) / (last_index - before_index)
    return PREDICTED * _overlap_and_joints(last, person, step, min_score) + (1 - PREDICTED) * still


def _displacement(before: FoundPerson, after: FoundPerson, min_score: float) -> npt.NDArray[np.float64]:
    """How far somebody went, in pixels along x and y: the middle one of all joints, which gestures hardly move."""
    both = (before.scores >= min_score) & (after.scores >= min_score)
    if both.sum() >= MIN_JOINTS:
        return np.asarray(np.median(after.joints[both] - before.joints[both], axis=0), np.float64)
    return np.asarray((after.box - before.box).reshape(2, 2).mean(axis=0), np.float64)


def _overlap_and_joints(
    last: FoundPerson, person: FoundPerson, step: npt.NDArray[np.float64], min_score: float
) -> float:
    """Mean of the boxes' intersection over union and the joints' similarity, the former person moved by `step`."""
    overlap = _iou(last.box + np.tile(step, 2), person.box)
    both = (last.scores >= min_score) & (person.scores >= min_score)
    if both.sum() < MIN_JOINTS:
        return overlap
    distance_sq = ((last.joints[both] + step - person.joints[both]) ** 2).sum(axis=1)
    area = max(1.0, np.sqrt(_area(last.box) * _area(person.box)))
    joints = np.exp(-distance_sq / (2 * area * (2 * TOLERANCE * SIGMAS[both]) ** 2)).mean()
    return float((overlap + joints) / 2)


def _iou(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    sides = np.maximum(0.0, np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]))
    shared = float(sides.prod())
    return shared / (_area(one) + _area(other) - shared) if shared > 0 else 0.0


def _area(box: npt.NDArray[np.float64]) -> float:
    return float(np.maximum(0.0, box[2:] - box[:2]).prod())
