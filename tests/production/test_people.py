"""People by ONNX networks of MMPose's layout in onnxruntime, on real frames: the tiny ones see one known person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from curation.backends.pose.rtm_config import RtmoConfig, RtmPoseConfig
from curation.backends.pose.rtmo import Rtmo, RtmoNetwork
from curation.backends.pose.rtmpose import RtmPose
from curation.clip.schema import Clip
from curation.tiny_models.figure import BOX, JOINTS
from curation.tiny_models.pose import RTMPOSE_SIZE, SCORE

Clips = tuple[Clip, Clip]
PADDING = 1.25
"""MMPose's, around a person's box."""


@pytest.fixture(scope="module")
def rtmo(tiny_model: Callable[[str], Path]) -> RtmoConfig:
    return RtmoConfig(weights=str(tiny_model("rtmo")), device="cpu", threads=1, batch_size=4)


def in_the_box(side: float) -> npt.NDArray[np.float64]:
    """Where RTMPose puts the joints `(17, 2)` of a person whom RTMO has found in a square picture."""
    x0, y0, x1, y1 = np.array(BOX) * side
    width, height = RTMPOSE_SIZE
    seen_height = max((y1 - y0) * PADDING, (x1 - x0) * PADDING * height / width)
    seen = np.array([seen_height * width / height, seen_height])
    return np.asarray(np.array([x0 + x1, y0 + y1]) / 2 + (JOINTS - 0.5) * seen)


def test_rtmo_finds_the_known_person_on_frames_of_any_shape(rtmo: RtmoConfig, clips: Clips) -> None:
    square = clips[0].keyframes[0].image()
    pictures = [square, square[:300], square[:, :200], square[:, :330], square, square[100:]]
    for picture, people in zip(pictures, RtmoNetwork(rtmo)(pictures), strict=True):
        (person,) = people
        height, width = picture.shape[:2]
        # The longer side fills the network's input, and the bars are equal.
        side = max(height, width)
        corner = np.array([width - side, height - side]) / 2
        assert person.joints == pytest.approx(corner + JOINTS * side, abs=0.5)
        assert person.scores == pytest.approx(np.full(len(JOINTS), SCORE), abs=1e-4)


def test_one_person_is_followed_over_a_clip(rtmo: RtmoConfig, clips: Clips) -> None:
    for clip in clips:
        (person,) = Rtmo(rtmo).people(clip)
        assert person.times_s == tuple(keyframe.time_s for keyframe in clip.keyframes)
        for pose in person.poses:
            found = np.array([(joint.x, joint.y) for joint in pose.keypoints])
            assert found == pytest.approx(JOINTS, abs=0.005)
            # Both wrists are seen, and so are hands.
            assert pose.hands.left is not None
            assert pose.hands.right is not None


def test_rtmpose_looks_into_the_box_that_rtmo_found(
    rtmo: RtmoConfig, tiny_model: Callable[[str], Path], clips: Clips
) -> None:
    config = RtmPoseConfig(weights=str(tiny_model("rtmpose")), rtmo=rtmo, device="cpu", threads=1)
    (person,) = RtmPose(config).people(clips[0])
    expected = in_the_box(1.0)
    assert len(person.poses) == len(clips[0].keyframes)
    for pose in person.poses:
        found = np.array([(joint.x, joint.y) for joint in pose.keypoints])
        # The picture adds a little noise to the peaks.
        assert found == pytest.approx(expected, abs=0.03)
    # They are not RTMO's own joints, which lie in the whole picture.
    assert np.abs(expected - JOINTS).max() > 0.06
