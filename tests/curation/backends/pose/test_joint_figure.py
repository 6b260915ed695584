"""Heads and what is seen of a person, by figures of known proportions."""

from __future__ import annotations

import numpy as np
import pytest

from curation.backends.pose.estimator import Pose
from curation.backends.pose.found_person import FoundPerson
from curation.backends.pose.joint_figure import head_of, height_on, visible_heads
from curation.backends.pose.people_of_clip import pose_of
from curation.clip.observations import Box
from curation.clip.people import Joint
from tests.worlds.figures import FACE, figure

WIDTH, HEIGHT = 400, 1000
HEAD, CROWN = 100.0, 50.0
PICTURE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
LEGS = (Joint.LEFT_KNEE, Joint.RIGHT_KNEE, Joint.LEFT_ANKLE, Joint.RIGHT_ANKLE)
ANKLES = LEGS[2:]
HIPS = (Joint.LEFT_HIP, Joint.RIGHT_HIP)
SHOULDERS = (Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER)


def head(person: FoundPerson) -> np.ndarray:
    return head_of(person, person.sure(0.3, WIDTH, HEIGHT))


def seen(person: FoundPerson, height: int = HEIGHT) -> float:
    sure = person.sure(0.3, WIDTH, height)
    return visible_heads(person, sure, head_of(person, sure), height)


PROFILE = {
    Joint.NOSE: (0.3, 0.66),
    Joint.LEFT_EYE: (0.2, 0.53),
    Joint.RIGHT_EYE: (0.2, 0.53),
    Joint.LEFT_EAR: (-0.27, 0.62),
}


@pytest.mark.parametrize(
    ("person", "tolerance"),
    [
        (figure(200, CROWN, HEAD), 0.02),
        (figure(200, CROWN, HEAD, unseen=(*HIPS, *LEGS)), 0.02),
        (figure(200, CROWN, HEAD, moved=PROFILE, unseen=(Joint.RIGHT_EAR,)), 0.05),
        (figure(200, CROWN, HEAD, unseen=(Joint.NOSE, Joint.LEFT_EYE, Joint.RIGHT_EYE)), 0.12),  # from behind
        (figure(200, CROWN, HEAD, unseen=FACE), 0.25),  # by shoulders and hips
        (figure(200, CROWN, HEAD, unseen=(*FACE, *SHOULDERS)), 0.1),  # by the box
    ],
)
def test_the_head_is_found(person: FoundPerson, tolerance: float) -> None:
    x0, y0, x1, y1 = head(person)
    assert (y0, y1) == pytest.approx((CROWN, CROWN + HEAD), abs=tolerance * HEAD)
    assert (x0 + x1) / 2 == pytest.approx(200, abs=0.05 * HEAD)
    assert x1 - x0 == pytest.approx(1.3 * (y1 - y0))


def test_what_is_seen_is_the_lowest_joint_and_what_is_below_it() -> None:
    assert seen(figure(200, CROWN, HEAD)) == pytest.approx(8.0, abs=0.05)
    # The picture ends at the thighs: one head below the hips.
    assert seen(figure(200, 530, HEAD)) == pytest.approx(3.7 + 1.0, abs=0.05)
    # It ends between shoulders and hips, where the head tells.
    assert seen(figure(200, 700, HEAD)) == pytest.approx(3.0, abs=0.05)
    assert seen(figure(200, 880, HEAD)) == pytest.approx(1.2, abs=0.05)


def test_what_hides_a_person_counts_as_the_end_of_the_picture() -> None:
    """A desk before the hips: the box goes on below, but the next joint is not seen."""
    assert seen(figure(200, CROWN, HEAD, unseen=(*HIPS, *LEGS))) == pytest.approx(3.7, abs=0.05)
    assert seen(figure(200, CROWN, HEAD, unseen=ANKLES)) == pytest.approx(7.6, abs=0.05)


def test_a_seated_person_is_seen_to_the_knees() -> None:
    seated = figure(200, 400, HEAD, moved=dict.fromkeys(LEGS[:2], (0.4, 4.2)), unseen=ANKLES)
    assert seen(seated) == pytest.approx(5.8 + 1.8, abs=0.05)
    assert seen(seated, height=870) == pytest.approx(5.8 + 0.5, abs=0.05)


def test_hands_say_nothing_of_how_much_is_seen() -> None:
    raised = figure(200, 880, HEAD, moved={Joint.LEFT_WRIST: (0.5, 0.8), Joint.LEFT_ELBOW: (0.8, 1.1)})
    assert seen(raised) == pytest.approx(1.2, abs=0.05)


def test_heights_follow_the_joints() -> None:
    knees_up = {Joint.LEFT_KNEE: (0.4, 4.7), Joint.RIGHT_KNEE: (-0.4, 4.7)}
    pose = pose_of(figure(200, CROWN, HEAD, moved=knees_up), PICTURE, 0.3)

    def heads_at(heads: float) -> float:
        return (height_on(pose, heads, HEIGHT) - CROWN) / HEAD

    assert heads_at(0.0) == pytest.approx(0.0, abs=0.02)
    assert heads_at(1.0) == pytest.approx(1.0, abs=0.02)
    assert heads_at(3.7) == pytest.approx(3.7)
    assert heads_at(4.75) == pytest.approx(4.2), "half-way from the hips to the knees"
    assert heads_at(5.8) == pytest.approx(4.7)
    assert heads_at(7.6) == pytest.approx(7.6)
    assert heads_at(8.0) == pytest.approx(8.0, abs=0.02)


def test_heights_go_on_by_the_head_below_the_last_joint() -> None:
    pose = pose_of(figure(200, CROWN, HEAD, unseen=LEGS), PICTURE, 0.3)
    assert height_on(pose, 5.7, HEIGHT) == pytest.approx(CROWN + 5.7 * HEAD, abs=0.05 * HEAD)
    assert height_on(pose, -0.5, HEIGHT) == pytest.approx(CROWN - 0.5 * HEAD, abs=0.05 * HEAD)


def test_heights_without_joints_are_the_heads() -> None:
    box = Box(x0=0.25, y0=0.125, x1=0.5, y1=0.25)
    pose = Pose(box=box, head=box, visible_heads=7.0)
    assert [height_on(pose, heads, 1024) for heads in (-0.5, 0.0, 1.0, 4.0, 7.0)] == [64, 128, 256, 640, 1024]
