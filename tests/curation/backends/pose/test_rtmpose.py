"""RTMPose's way from people to joints, with a network that finds red squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from curation.backends.pose.rtm_config import RtmoConfig, RtmPoseConfig
from curation.backends.pose.rtmpose import RtmPose, RtmPoseNetwork
from curation.backends.settings import decisive
from curation.clip.observations import Box
from infra.config import ConfigError
from tests.worlds.people_clips import make_clip, make_track
from tests.worlds.pose_networks import red_square, square_rtmo, square_rtmpose

Image = npt.NDArray[np.uint8]


def config(folder: Path, batch: int | str = "batch", **values: object) -> RtmPoseConfig:
    rtmo = RtmoConfig(weights=str(square_rtmo(folder / "rtmo.onnx", batch)), device="cpu", threads=1)
    weights = str(square_rtmpose(folder / "rtmpose.onnx", batch))
    return RtmPoseConfig(weights=weights, rtmo=rtmo, device="cpu", threads=1, **values)  # type: ignore[arg-type]


def blank(height: int, width: int) -> Image:
    return np.full((height, width, 3), 60, np.uint8)


@pytest.mark.parametrize("batch", [1, "batch"])
def test_joints_are_found_within_each_box(tmp_path: Path, batch: int | str) -> None:
    """In RGB: a blue square beside the red one is not seen. A box may reach beyond the picture."""
    network = RtmPoseNetwork(config(tmp_path, batch, batch_size=2))
    picture = red_square(red_square(blank(300, 400), 100, 150), 320, 40)
    picture[170:190, 110:130] = (255, 0, 0)
    boxes = np.array([[60.0, 100, 140, 220], [280, -20, 360, 90], [60, 80, 150, 190]])
    found = network([(picture, box) for box in boxes])
    # A bin is half a pixel of the input, in which the largest box is about three pixels of the picture to one.
    for (places, scores), spot in zip(found, [(100, 150), (320, 40), (100, 150)], strict=True):
        assert places == pytest.approx(np.tile(spot, (17, 1)), abs=2.0)
        assert (scores > 0.3).all()
    alone = [network([(picture, box)])[0] for box in boxes]
    for (places, scores), (places_alone, scores_alone) in zip(found, alone, strict=True):
        assert places == pytest.approx(places_alone)
        assert scores == pytest.approx(scores_alone, rel=1e-4)


def test_scores_may_exceed_1(tmp_path: Path) -> None:
    picture = red_square(blank(100, 100), 50, 50, half=40)
    ((_, scores),) = RtmPoseNetwork(config(tmp_path))([(picture, np.array([10.0, 10, 90, 90]))])
    assert scores.min() > 1.0
    (person,) = RtmPose(config(tmp_path)).people(make_clip([picture]))
    assert person.poses[0].keypoints[0].confidence > 1.0
    assert person.poses[0].keypoints[0].seen


def test_people_come_from_rtmo(tmp_path: Path) -> None:
    pictures = [red_square(blank(240, 320), x, 120, half=10) for x in (100, 110, 120)]
    (person,) = RtmPose(config(tmp_path)).people(make_clip(pictures))
    assert person.times_s == (0.0, 0.5, 1.0)
    assert [pose.keypoints[5].x * 320 for pose in person.poses] == pytest.approx([100, 110, 120], abs=1.5)
    assert [pose.keypoints[5].y * 240 for pose in person.poses] == pytest.approx([120] * 3, abs=1.5)


def test_people_come_from_faces(tmp_path: Path) -> None:
    """Each face track is one person, whatever crosses; the square lies in the figure below the face."""
    settings = config(tmp_path, people="faces")
    Path(settings.rtmo.weights).unlink()
    assert settings.missing() == []
    face = Box(x0=0.45, y0=0.1, x1=0.55, y1=0.2)
    pictures = [red_square(blank(400, 400), 200, 250, half=12)] * 4
    track = make_track([face] * 2, first=1)
    (person,) = RtmPose(settings).people(make_clip(pictures, (track,)))
    assert person.times_s == (0.5, 1.0)
    for pose in person.poses:
        assert (pose.keypoints[0].x, pose.keypoints[0].y) == pytest.approx((0.5, 0.625), abs=0.02)
    assert RtmPose(settings).people(make_clip(pictures)) == ()


def test_what_is_missing_is_told_of_both_networks(tmp_path: Path) -> None:
    settings = RtmPoseConfig(weights=str(tmp_path / "a.onnx"), rtmo=RtmoConfig(weights=str(tmp_path / "b.onnx")))
    assert [line.partition(":")[0] for line in settings.missing()] == [
        f"no weights of RTMPose at {tmp_path}/a.onnx",
        f"no weights of RTMO at {tmp_path}/b.onnx",
    ]
    with pytest.raises(ConfigError, match=r"^no weights of RTMPose at "):
        RtmPose(settings)


def test_a_network_of_the_other_kind(tmp_path: Path) -> None:
    settings = RtmPoseConfig(weights=str(square_rtmo(tmp_path / "rtmo.onnx")), people="faces", device="cpu")
    with pytest.raises(ConfigError, match="is not an RTMPose network: expected outputs simcc_x"):
        RtmPose(settings)


def test_where_it_runs_decides_nothing() -> None:
    elsewhere = RtmPoseConfig(device="cpu", batch_size=3, threads=2, rtmo=RtmoConfig(device="cuda:1", batch_size=9))
    assert decisive(elsewhere) == decisive(RtmPoseConfig())
    assert decisive(RtmPoseConfig(people="faces")) != decisive(RtmPoseConfig())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_joint_confidence": 0.0}, "min_joint_confidence must be above 0, not 0.0"),
        ({"batch_size": 0}, "batch_size must be at least 1 and threads 0, not 0 and 0"),
        ({"threads": -1}, "batch_size must be at least 1 and threads 0, not 64 and -1"),
    ],
)
def test_impossible_values(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        RtmPoseConfig(**values)  # type: ignore[arg-type]
