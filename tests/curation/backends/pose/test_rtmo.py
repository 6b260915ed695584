"""RTMO's way from keyframes to people, with a network that finds red squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from curation.backends.pose.rtm_config import RtmoConfig
from curation.backends.pose.rtmo import Rtmo, RtmoNetwork
from infra.config import ConfigError
from tests.worlds.onnx_networks import constant_network
from tests.worlds.people_clips import make_clip
from tests.worlds.pose_networks import REACH, RTMO_SIDE, red_square, square_rtmo

Image = npt.NDArray[np.uint8]


def config(weights: Path, **values: float) -> RtmoConfig:
    return RtmoConfig(weights=str(weights), device="cpu", threads=1, **values)  # type: ignore[arg-type]


def blank(height: int, width: int) -> Image:
    return np.full((height, width, 3), 60, np.uint8)


@pytest.mark.parametrize("batch", [1, "batch"])
def test_squares_are_found_where_they_are(tmp_path: Path, batch: int | str) -> None:
    """On pictures of several shapes at once, and in BGR: a blue square is not seen."""
    network = RtmoNetwork(config(square_rtmo(tmp_path / "rtmo.onnx", batch), batch_size=2))
    spots = [(320, 240, 200, 60), (100, 300, 40, 80), (240, 240, 220, 30)]
    pictures = [red_square(blank(height, width), x, y, half=8) for width, height, x, y in spots]
    pictures[1][10:30, 60:80] = (255, 0, 0)
    for (width, height, x, y), people in zip(spots, network(pictures), strict=True):
        (person,) = people
        scale = RTMO_SIDE / max(width, height)
        assert person.joints == pytest.approx(np.tile([x, y], (17, 1)), abs=0.6 / scale)
        assert person.box == pytest.approx(
            [x - REACH / scale, y - REACH / scale, x + REACH / scale, y + REACH / scale], abs=0.6 / scale
        )
        assert person.scores == pytest.approx(np.full(17, 0.8), abs=1e-5)


def test_doubles_are_one_person_and_neighbours_are_two(tmp_path: Path) -> None:
    dets = np.array(
        [[[0, 0, 50, 100, 0.7], [2, 0, 52, 100, 0.9], [30, 0, 80, 100, 0.6], [0, 0, 9, 9, 0.4]]], np.float32
    )
    keypoints = np.zeros((1, 4, 17, 3), np.float32)
    keypoints[0, :, :, 0] = np.arange(4)[:, None]
    weights = constant_network(tmp_path / "rtmo.onnx", (1, 3, 160, 160), {"dets": dets, "keypoints": keypoints})
    (people,) = RtmoNetwork(config(weights))([blank(160, 160)])
    assert [person.joints[0, 0] for person in people] == [1, 2]
    (strict,) = RtmoNetwork(config(weights, min_person_confidence=0.8))([blank(160, 160)])
    assert [person.joints[0, 0] for person in strict] == [1]


def test_nobody(tmp_path: Path) -> None:
    answers = {"dets": np.zeros((1, 0, 5), np.float32), "keypoints": np.zeros((1, 0, 17, 3), np.float32)}
    weights = constant_network(tmp_path / "rtmo.onnx", (1, 3, 160, 160), answers)
    assert Rtmo(config(weights)).people(make_clip([blank(120, 160)] * 3)) == ()


def test_a_person_without_a_face_is_followed(tmp_path: Path) -> None:
    """In fractions of the picture; on the keyframe in the middle nobody is seen."""
    estimator = Rtmo(config(square_rtmo(tmp_path / "rtmo.onnx")))
    pictures = [red_square(blank(240, 320), x, 120, half=10) for x in (100, 110, 120, 130)]
    pictures[2] = blank(240, 320)
    # Where nothing is red this network puts a person into the corner, so the corner must not count.
    (person, *others) = estimator.people(make_clip(pictures))
    assert person.times_s == (0.0, 0.5, 1.5)
    assert [pose.keypoints[0].x for pose in person.poses] == pytest.approx([100 / 320, 110 / 320, 130 / 320], abs=0.01)
    assert all(joint.seen for pose in person.poses for joint in pose.keypoints)
    assert len(others) == 1
    assert not any(joint.seen for joint in others[0].poses[0].keypoints)


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    settings = config(tmp_path / "none.onnx")
    (line,) = settings.missing()
    assert line.startswith(f"no weights of RTMO at {tmp_path}/none.onnx: expected")
    with pytest.raises(ConfigError, match=r"^no weights of RTMO at "):
        Rtmo(settings)


def test_what_is_found_is_told(tmp_path: Path) -> None:
    settings = config(square_rtmo(tmp_path / "rtmo.onnx"))
    assert settings.missing() == []
    assert settings.found() == f"{tmp_path}/rtmo.onnx, 0.0 MB, cpu"
