"""Where the main face is, how large it is, and what moves: known places give known words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curation.backends.caption.framing_words import Framing, hand_motion, head_motion, shape
from curation.clip.motion import SubjectMotion
from curation.clip.observations import Box, FaceBox, FaceTrack
from curation.clip.people import ClipPerson, Hands, Joint, Keypoint
from curation.clip.schema import Clip
from tests.worlds.people_clips import make_clip

NUM_FRAMES = 6
CLIP = make_clip([np.full((100, 200, 3), 128, np.uint8)] * NUM_FRAMES)
TIMES_S = tuple(frame.time_s for frame in CLIP.keyframes)


def with_face(x: float, y: float, height: float) -> Clip:
    box = Box(x0=x - height / 4, y0=y - height / 2, x1=x + height / 4, y1=y + height / 2)
    faces = (FaceBox(box=box, confidence=1.0),) * NUM_FRAMES
    return replace(CLIP, tracks=(FaceTrack(times_s=TIMES_S, faces=faces),))


@pytest.mark.parametrize(
    ("face", "place", "size"),
    [
        ((0.5, 0.45, 0.2), "in the middle", "a third"),
        ((0.3, 0.2, 0.08), "high on the left", "an eighth"),
        ((0.7, 0.7, 0.33), "low on the right", "half"),
        ((0.5, 0.5, 0.04), "in the middle", "a twentieth"),
        ((0.5, 0.5, 0.8), "in the middle", "most"),
    ],
)
def test_where_and_how_large(face: tuple[float, float, float], place: str, size: str) -> None:
    framing = Framing.of(with_face(*face))
    assert framing is not None
    assert (framing.place, framing.size) == (place, size)


def test_without_a_face_nothing_is_said() -> None:
    assert Framing.of(CLIP) is None
    assert head_motion(None) is None
    assert hand_motion((), CLIP) is None


@pytest.mark.parametrize(("width", "word"), [(200, "horizontal"), (100, "square"), (56, "vertical")])
def test_the_shape_of_the_picture(width: int, word: str) -> None:
    info = replace(CLIP.media.info, width=width, height=100)
    assert shape(replace(CLIP, media=replace(CLIP.media, info=info))) == word


@pytest.mark.parametrize(
    ("travel", "coverage", "words"),
    [(0.11, 1.0, "hardly moves"), (0.44, 1.0, "sways a little"), (0.5, 1.0, "moves"), (0.1, 0.4, None)],
)
def test_how_the_head_moves(travel: float, coverage: float, words: str | None) -> None:
    motion = SubjectMotion(dx_per_s=0, dy_per_s=0, scale_per_s=0, travel_heads=travel, coverage=coverage)
    assert head_motion(motion) == words


def person(left_wrist: list[float], right_wrist: list[float], *, unseen: int = 0) -> ClipPerson:
    """Shoulders 0.2 of the width apart (40 px, so a head is 20 px), wrists at these heights in pixels."""
    poses = []
    for number, (left, right) in enumerate(zip(left_wrist, right_wrist, strict=True)):
        joints = [Keypoint(0.5, 0.5, 1.0)] * len(Joint)
        joints[Joint.LEFT_SHOULDER] = Keypoint(0.6, 0.4, 1.0)
        joints[Joint.RIGHT_SHOULDER] = Keypoint(0.4, 0.4, 1.0)
        joints[Joint.LEFT_WRIST] = Keypoint(0.6, left / 100, 1.0)
        joints[Joint.RIGHT_WRIST] = Keypoint(0.4, right / 100, 1.0, seen=number >= unseen)
        poses.append(tuple(joints))
    box = Box(x0=0.3, y0=0.1, x1=0.7, y1=1.0)
    return ClipPerson(times_s=TIMES_S, boxes=(box,) * NUM_FRAMES, keypoints=tuple(poses), hands=(Hands(),) * NUM_FRAMES)


RESTING, WAVING = [80.0, 82.0] * 3, [80.0, 60.0] * 3


@pytest.mark.parametrize(
    ("people", "words"),
    [
        (person(RESTING, RESTING), "are held still"),
        (person(WAVING, WAVING), "move"),
        (person(WAVING, RESTING), "move"),
        (person(WAVING, RESTING, unseen=4), "move"),
        (person(RESTING, WAVING, unseen=4), None),
        (person([80.0, 89.0] * 3, RESTING), "are held still"),
        (person([80.0, 90.0] * 3, RESTING), "move"),
    ],
)
def test_how_the_hands_move(people: ClipPerson, words: str | None) -> None:
    assert hand_motion((people,), CLIP) == words
