from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from curation.tiny_models.figure import BOX, JOINTS
from curation.tiny_models.pose import write_rtmo, write_rtmpose


def run(path: Path, pictures: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"input": pictures}), strict=True))


@pytest.mark.parametrize("num_pictures", [1, 3])
def test_rtmo_sees_one_person_in_every_picture(tmp_path: Path, num_pictures: int) -> None:
    write_rtmo(tmp_path / "rtmo.onnx")
    pictures = np.random.default_rng(0).uniform(0, 255, (num_pictures, 3, 640, 640)).astype(np.float32)
    found = run(tmp_path / "rtmo.onnx", pictures)
    people = found["dets"].shape[1]
    assert found["dets"].shape == (num_pictures, people, 5)
    assert found["keypoints"].shape == (num_pictures, people, 17, 3)
    assert found["dets"][:, 0, :4] / 640 == pytest.approx(np.tile(BOX, (num_pictures, 1)), abs=1e-5)
    assert found["keypoints"][:, 0, :, :2] / 640 == pytest.approx(np.tile(JOINTS, (num_pictures, 1, 1)), abs=1e-5)
    assert ((found["dets"][..., 4] > 0.5).sum(1) == 1).all()


@pytest.mark.parametrize("num_pictures", [1, 3])
def test_rtmpose_puts_the_joints_where_they_are(tmp_path: Path, num_pictures: int) -> None:
    write_rtmpose(tmp_path / "rtmpose.onnx")
    pictures = np.random.default_rng(0).normal(0, 1, (num_pictures, 3, 256, 192)).astype(np.float32)
    found = run(tmp_path / "rtmpose.onnx", pictures)
    assert found["simcc_x"].shape == (num_pictures, 17, 2 * 192)
    assert found["simcc_y"].shape == (num_pictures, 17, 2 * 256)
    places = np.stack([found["simcc_x"].argmax(-1) / (2 * 192), found["simcc_y"].argmax(-1) / (2 * 256)], -1)
    assert places == pytest.approx(np.tile(JOINTS, (num_pictures, 1, 1)), abs=0.01)
