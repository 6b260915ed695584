"""Boxes around hands, beyond the wrists."""

from __future__ import annotations

import numpy as np
import pytest

from curation.backends.pose.hands import hand_box
from curation.backends.pose.people_of_clip import pose_of
from curation.clip.people import Joint
from tests.worlds.figures import figure

HEAD = 100.0
PICTURE = np.zeros((1000, 400, 3), np.uint8)


def holds(box: np.ndarray, x: float, y: float) -> bool:
    return bool(box[0] <= x <= box[2] and box[1] <= y <= box[3])


@pytest.mark.parametrize("wrist", [(0.9, 3.9), (2.0, 2.8), (0.9, 1.7), (0.1, 2.1)])
def test_the_box_reaches_from_the_wrist_to_the_tips_of_the_fingers(wrist: tuple[float, float]) -> None:
    """Whichever way the forearm points; a hand is 0.83 heads long (19 of 23 cm)."""
    person = figure(200, 50, HEAD, moved={Joint.LEFT_WRIST: wrist})
    box = hand_box("left", person, np.ones(17, bool), HEAD)
    assert box is not None
    wrist_px, elbow_px = person.joints[Joint.LEFT_WRIST], person.joints[Joint.LEFT_ELBOW]
    forearm = wrist_px - elbow_px
    tips = wrist_px + 0.83 * HEAD * forearm / np.linalg.norm(forearm)
    assert holds(box, *wrist_px)
    assert holds(box, *tips)
    assert not holds(box, *elbow_px)
    assert 1.2 * HEAD < box[2] - box[0] < 1.9 * HEAD


def test_a_forearm_that_points_at_the_camera_has_a_hand_before_it() -> None:
    person = figure(200, 50, HEAD, moved={Joint.RIGHT_WRIST: (-0.9, 2.85)})
    box = hand_box("right", person, np.ones(17, bool), HEAD)
    assert box is not None
    assert (box[:2] + box[2:]) / 2 == pytest.approx(person.joints[Joint.RIGHT_WRIST], abs=0.05 * HEAD)
    assert box[2] - box[0] == pytest.approx(1.2 * 1.19 * HEAD, abs=0.05 * HEAD)


@pytest.mark.parametrize("unseen", [Joint.LEFT_WRIST, Joint.LEFT_ELBOW])
def test_no_box_without_the_forearm(unseen: Joint) -> None:
    hands = pose_of(figure(200, 50, HEAD, unseen=(unseen,)), PICTURE, 0.3).hands
    assert hands.left is None
    assert hands.right is not None


def test_a_hand_outside_the_picture_has_no_box() -> None:
    inside = pose_of(figure(200, 560, HEAD), PICTURE, 0.3).hands.left
    assert inside is not None
    assert inside.y1 == 1.0, "clipped to the picture"
    assert pose_of(figure(200, 580, HEAD), PICTURE, 0.3).hands.left is None
