"""From found people to the people of a clip."""

from __future__ import annotations

import numpy as np
import pytest

from curation.backends.pose.people_of_clip import people_of_clip, pose_of
from curation.clip.people import Joint
from tests.worlds.figures import FACE, figure
from tests.worlds.people_clips import make_clip

WIDTH, HEIGHT = 400, 800
PICTURE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def test_a_pose_is_in_fractions_of_the_picture() -> None:
    pose = pose_of(figure(200, 80, 80), PICTURE, 0.3)
    assert len(pose.keypoints) == 17
    left_hip = pose.keypoints[Joint.LEFT_HIP]
    assert (left_hip.x, left_hip.y) == pytest.approx(((200 + 36) / WIDTH, (80 + 296) / HEIGHT))
    assert (left_hip.confidence, left_hip.seen) == (0.9, True)
    assert (pose.box.y0, pose.box.y1) == pytest.approx((80 / HEIGHT, 720 / HEIGHT))
    assert (pose.head.y0, pose.head.y1) == pytest.approx((80 / HEIGHT, 160 / HEIGHT), abs=0.005)
    assert pose.visible_heads == pytest.approx(8.0, abs=0.05)


def test_joints_outside_the_picture_or_unsure_are_not_seen() -> None:
    pose = pose_of(figure(200, 300, 80, unseen=(Joint.NOSE,)), PICTURE, 0.3)
    not_seen = {joint for joint in Joint if not pose.keypoints[joint].seen}
    assert not_seen == {Joint.NOSE, Joint.LEFT_ANKLE, Joint.RIGHT_ANKLE}
    assert pose.box.y1 == 1.0


def test_the_main_person_comes_first() -> None:
    """The largest and most often seen, whether their face is seen or not."""
    pictures = [PICTURE] * 4
    clip = make_clip(pictures)
    small = [(index, figure(300, 300, 40)) for index in range(4)]
    once = [(1, figure(100, 100, 90))]
    turned_away = [(index, figure(200, 100, 80, unseen=FACE)) for index in range(4)]
    people = people_of_clip(clip, pictures, [small, once, turned_away, []], 0.3)
    assert [person.times_s for person in people] == [(0.0, 0.5, 1.0, 1.5), (0.5,), (0.0, 0.5, 1.0, 1.5)]
    assert not any(people[0].poses[0].keypoints[joint].seen for joint in FACE)
