"""A crop is a clip of its own whose faces and keyframes are those of the part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curation.backends.faces.crops import track_in_picture
from curation.clip.crop import crop_clip, inner_box, outer_box
from curation.clip.observations import Box, FaceBox, FaceTrack
from curation.clip.people import ClipPerson, Hands, Keypoint
from curation.clip.schema import Pool
from tests.worlds.people_clips import make_clip, make_keyframe, make_track

CROP = Box(x0=0.25, y0=0.0, x1=0.75, y1=0.5)


def test_boxes_go_in_and_out() -> None:
    box = Box(x0=0.3, y0=0.1, x1=0.5, y1=0.4)
    inside = inner_box(box, CROP)
    assert inside.x0 == pytest.approx(0.1)
    assert inside.y1 == pytest.approx(0.8)
    back = outer_box(inside, CROP)
    assert (back.x0, back.y0, back.x1, back.y1) == pytest.approx((0.3, 0.1, 0.5, 0.4))
    clipped = inner_box(Box(x0=0.0, y0=0.1, x1=1.0, y1=0.9), CROP)
    assert (clipped.x0, clipped.x1, clipped.y1) == (0.0, 1.0, 1.0)


def test_everything_is_carried_over() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[48:192, 256:384] = 255
    inside, outside = Box(x0=0.4, y0=0.1, x1=0.6, y1=0.4), Box(x0=0.0, y0=0.6, x1=0.2, y1=0.8)
    clip = make_clip([image] * 3, (make_track([outside] * 3), make_track([inside] * 3)), size=(1280, 960))
    faces = tuple(FaceBox(box=box, confidence=1.0) for box in (inside, outside))
    keyframes = tuple(replace(make_keyframe(k.time_s, image), faces=faces) for k in clip.keyframes)
    clip = replace(clip, keyframes=keyframes, pool=Pool.HUMAN).with_scores(quality_sharpness=3.0)

    crop = crop_clip(clip, CROP, "made-0000-crop")

    assert (crop.key, crop.parent_key, crop.crop) == ("made-0000-crop", "made-0000", CROP)
    assert (crop.width, crop.height) == (640, 480)
    assert (crop.shot, crop.start_s, crop.end_s, crop.pool) == (
        clip.shot,
        clip.start_s,
        clip.end_s,
        clip.pool,
    )
    assert crop.stats is clip.stats
    assert crop.scores == {"quality_sharpness": 3.0}
    (track,) = crop.tracks
    assert track.times_s == clip.tracks[0].times_s
    box = track.faces[0].box
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx((0.3, 0.2, 0.7, 0.8))
    for keyframe in crop.keyframes:
        assert [face.box for face in keyframe.faces] == [box]
        picture = keyframe.image()
        assert picture.shape == (240, 320, 3)
        x0, y0, x1, y1 = box.pixels(320, 240)
        # The white patch that stands for the face is where its box says.
        assert picture[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4].min() > 240
        assert picture[:, : x0 - 4].max() < 16


def test_a_crop_of_a_crop_is_in_terms_of_the_source() -> None:
    clip = make_clip([np.zeros((400, 400, 3), np.uint8)], size=(1000, 1000))
    half = crop_clip(clip, Box(x0=0.5, y0=0.0, x1=1.0, y1=0.5), "a")
    quarter = crop_clip(half, Box(x0=0.0, y0=0.5, x1=0.5, y1=1.0), "b")
    assert quarter.crop == Box(x0=0.5, y0=0.25, x1=0.75, y1=0.5)
    assert (quarter.width, quarter.height) == (250, 250)
    assert quarter.parent_key == "a"


def test_landmarks_go_in_and_out_with_their_face() -> None:
    clip = make_clip([np.zeros((480, 640, 3), np.uint8)], size=(640, 480))
    face = FaceBox(
        box=Box(x0=0.4, y0=0.1, x1=0.6, y1=0.4), confidence=1.0, landmarks=((0.45, 0.2), (0.55, 0.2), (0.5, 0.3))
    )
    crop = crop_clip(replace(clip, tracks=(FaceTrack(times_s=(0.0,), faces=(face,)),)), CROP, "made-0000-crop")
    assert np.allclose(crop.tracks[0].faces[0].landmarks, [(0.4, 0.4), (0.6, 0.4), (0.5, 0.6)])
    assert np.allclose(track_in_picture(crop, crop.tracks[0]).faces[0].landmarks, face.landmarks)


def test_people_are_carried_over_with_their_joints_and_hands() -> None:
    def at(x: float, y: float, size: float = 0.1) -> Box:
        return Box(x0=x - size / 2, y0=y - size / 2, x1=x + size / 2, y1=y + size / 2)

    joints = (Keypoint(0.5, 0.25, 0.9), Keypoint(0.8, 0.25, 0.7), Keypoint(0.5, 0.25, 0.1, seen=False))
    hands = Hands(left=at(0.5, 0.4), right=at(0.8, 0.4))
    inside = ClipPerson(
        times_s=(0.0, 0.5, 1.0),
        boxes=(at(0.5, 0.25), at(0.9, 0.25), at(0.55, 0.25)),
        keypoints=(joints,) * 3,
        hands=(hands,) * 3,
    )
    outside = replace(inside, boxes=(at(0.5, 0.9),) * 3)
    clip = replace(make_clip([np.zeros((100, 100, 3), np.uint8)] * 3), people=(outside, inside))
    (person,) = crop_clip(clip, CROP, "a").people
    assert person.times_s == (0.0, 1.0)
    assert person.boxes[0].centre == pytest.approx((0.5, 0.5))
    assert person.boxes[1].centre == pytest.approx((0.6, 0.5))
    sure, beyond, unsure = person.keypoints[0]
    assert (sure.x, sure.y, sure.confidence, sure.seen) == pytest.approx((0.5, 0.5, 0.9, True))
    assert (beyond.x, beyond.confidence, beyond.seen) == pytest.approx((1.1, 0.7, False))
    assert not unsure.seen
    assert person.hands[0].left is not None
    assert person.hands[0].left.centre == pytest.approx((0.5, 0.8))
    assert person.hands[0].right is None
