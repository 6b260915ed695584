"""What the motion stage stores, and what reads it back."""

from __future__ import annotations

import re

import numpy as np
import pytest
import skimage.data

from curation.backends.lips.mouth_change import mouth_change
from curation.backends.motion.estimator import PairMotion
from curation.clip.motion import CameraMotion, SubjectMotion
from curation.clip.observations import Box
from curation.clip.schema import Clip
from curation.stages.motion import MotionConfig, MotionStage
from tests.worlds.people_clips import Image, make_clip, make_track


def panning(shift_px: int) -> Clip:
    """A 300 × 300 window that moves right over a photograph, a face at a fixed place in the picture."""
    picture: Image = np.ascontiguousarray(skimage.data.astronaut()[:, :, ::-1])
    images = [picture[100:400, shift_px * i : shift_px * i + 300] for i in range(6)]
    face = Box(x0=0.75, y0=0.1, x1=0.85, y1=0.2)
    return make_clip(images, (make_track([face] * 6),))


def test_motion_is_kept_as_scores_and_read_back() -> None:
    clip = MotionStage(MotionConfig())(panning(15))
    camera, subject = CameraMotion.of(clip), SubjectMotion.of(clip)
    assert camera is not None
    assert subject is not None
    assert camera.pan_per_s == pytest.approx(15 / 300 / 0.5, abs=0.003)
    assert clip.scores["camera_pan_per_s"] == camera.pan_per_s
    # It stays in the picture while the camera pans, so it moves through the scene.
    assert subject.dx_per_s == pytest.approx(0.1, abs=0.003)
    assert clip.kept
    fit = clip.scores["camera_fit"]
    assert isinstance(fit, float)
    assert 0.5 < fit <= 1.0


def test_what_cannot_be_told_is_stored_as_unknown() -> None:
    clip = MotionStage(MotionConfig())(make_clip([np.full((200, 200, 3), 128, np.uint8)] * 4))
    assert clip.scores["camera_fit"] == 0.0
    assert CameraMotion.of(clip) is None
    assert SubjectMotion.of(clip) is None
    names = {*CameraMotion.unknown(), *SubjectMotion.unknown(), "subject_mouth_change"}
    assert {name for name in clip.scores if clip.scores[name] is None} == names
    assert set(MotionStage(MotionConfig())(panning(0)).scores) == set(clip.scores)


def test_a_poor_fit_is_unknown() -> None:
    seen = [keyframe.image() for keyframe in panning(15).keyframes]
    clip = make_clip([*seen[:4], np.full_like(seen[0], 128), *seen[4:]])
    loose, strict = (MotionStage(MotionConfig(min_camera_fit=fit))(clip) for fit in (0.5, 0.9))
    assert loose.scores["camera_fit"] == strict.scores["camera_fit"] == pytest.approx(4 / 6, abs=0.05)
    assert CameraMotion.of(loose) is not None
    assert CameraMotion.of(strict) is None
    assert strict.scores["subject_dx_per_s"] is None


def test_a_clip_of_one_keyframe_passes() -> None:
    clip = panning(0)
    single = MotionStage(MotionConfig())(make_clip([clip.keyframes[0].image()]))
    assert CameraMotion.of(single) is None


def test_clips_that_were_never_measured_are_unknown() -> None:
    assert CameraMotion.of(panning(0)) is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"min_camera_fit": -0.1}, "min_camera_fit must be in [0, 1], not -0.1"),
        ({"min_camera_fit": 1.5}, "min_camera_fit must be in [0, 1], not 1.5"),
        ({"backend": "imu"}, "unknown camera backend 'imu'; known: features"),
    ],
)
def test_bad_configuration_is_one_clear_line(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        MotionStage(MotionConfig(**config))  # type: ignore[arg-type]


@pytest.mark.parametrize(("limit", "known"), [(0.0, True), (0.75, True), (0.76, False), (1.0, False)])
def test_a_fit_at_the_limit_is_good_enough(limit: float, known: bool) -> None:
    class Scripted:
        def pairs(self, clip: Clip) -> tuple[PairMotion, ...]:
            return (PairMotion(np.eye(3)[:2], 300, 300, 0.75),) * 5

    stage = MotionStage(MotionConfig(min_camera_fit=limit))
    stage.estimator = Scripted()
    assert (CameraMotion.of(stage(panning(0))) is not None) is known


@pytest.mark.parametrize("shade", [0, 160])
def test_the_mouth_s_change_is_kept_even_where_the_camera_is_unknown(shade: int) -> None:
    """A drawn mouth that opens in every other picture of a face that fills most of it."""
    picture: Image = np.ascontiguousarray(skimage.data.astronaut()[76:166, 175:265, ::-1]).repeat(3, 0).repeat(3, 1)
    opened = picture.copy()
    opened[200:240, 100:170] = shade
    track = make_track([Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)] * 6)
    clip = MotionStage(MotionConfig(min_camera_fit=1.0))(make_clip([picture, opened] * 3, (track,)))
    expected = mouth_change(track, clip.keyframes)
    assert expected is not None
    assert clip.scores["subject_mouth_change"] == expected > 1
