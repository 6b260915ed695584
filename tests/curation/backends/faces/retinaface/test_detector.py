"""The detector: real faces with the real small weights, and batches of every release with random ones."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from curation.backends.faces.dlib_hog import DlibHog
from curation.backends.faces.retinaface.config import RetinaFaceConfig
from curation.backends.faces.retinaface.detector import RetinaFace
from curation.backends.faces.retinaface.releases import MOBILENET, RESNET
from curation.clip.observations import FaceBox
from infra.config import ConfigError
from tests.curation.backends.faces.retinaface.published import random_weights
from tests.curation.backends.faces.retinaface.test_weights import REAL

Image = npt.NDArray[np.uint8]
PORTRAITS = Path(os.environ.get("SOUL_SHARED", "../shared")) / "clips" / "portraits"
needs_weights = pytest.mark.skipif(not REAL.is_file(), reason="no RetinaFace weights (SOUL_SHARED)")


def portrait(name: str, short_edge: int = 320) -> Image:
    image = cv2.imread(str(PORTRAITS / name))
    assert image is not None
    scale = short_edge / min(image.shape[:2])
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def assert_same(one: tuple[FaceBox, ...], other: tuple[FaceBox, ...]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.confidence == pytest.approx(b.confidence, abs=1e-4)
        assert (a.box.x0, a.box.y0, a.box.x1, a.box.y1) == pytest.approx(
            (b.box.x0, b.box.y0, b.box.x1, b.box.y1), abs=1e-4
        )
        assert np.allclose(a.landmarks, b.landmarks, atol=1e-3)


@pytest.fixture(scope="module")
def real() -> RetinaFace:
    return RetinaFace(RetinaFaceConfig(weights=str(REAL), device="cpu"))


@needs_weights
def test_a_face_lies_where_dlib_sees_it_with_its_landmarks_in_place(real: RetinaFace) -> None:
    image = portrait("face_recognition-obama.jpg")
    (face,) = real.detect([image])[0]
    (known,) = DlibHog().detect([image])[0]
    assert face.confidence > 0.99
    assert face.box.iou(known.box) > 0.7
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert face.box.y0 < left_eye[1] < nose[1] < left_mouth[1] < face.box.y1


@needs_weights
def test_a_picture_without_people_has_no_face(real: RetinaFace) -> None:
    assert real.detect([np.full((200, 300, 3), 128, np.uint8)]) == [()]


@needs_weights
def test_a_batch_of_mixed_sizes_gives_what_each_picture_gives_alone(real: RetinaFace) -> None:
    images = [portrait("face_recognition-obama.jpg"), portrait("echomimic_v2-0010.png")]
    images += [images[0][:, ::-1].copy(), images[1][::-1].copy(), images[0]]
    together = real.detect_batch(images)
    assert [len(faces) for faces in together][:3] == [1, 1, 1]
    for image, faces in zip(images, together, strict=True):
        assert_same(faces, real.detect([image])[0])


@pytest.mark.parametrize(
    ("release", "backbone"),
    [("pytorch_retinaface", MOBILENET), ("pytorch_retinaface", RESNET), ("ternaus", RESNET)],
)
def test_every_release_runs_in_batches(tmp_path: Path, release: str, backbone: str) -> None:
    torch.save(random_weights(release, backbone), tmp_path / "random.pth")
    # Random networks see faces everywhere.
    settings = RetinaFaceConfig(weights=str(tmp_path / "random.pth"), release=release, min_confidence=0.6, device="cpu")
    detector = RetinaFace(settings)
    images = list(np.random.default_rng(0).integers(0, 255, (3, 64, 80, 3)).astype(np.uint8))
    for faces in detector.detect(images):
        assert faces
        assert [face.confidence for face in faces] == sorted((face.confidence for face in faces), reverse=True)
    # Answers rather than faces: random networks give boxes of almost equal confidence, whose order is chance.
    pictures = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        together = detector.network(pictures)
        for index in range(len(images)):
            for whole, alone in zip(together, detector.network(pictures[index : index + 1]), strict=True):
                assert torch.allclose(whole[index], alone[0], atol=1e-3)


def test_channels_go_in_as_the_release_was_trained(tmp_path: Path) -> None:
    """A network whose only answer is the mean of its first input channel: red for ternaus, blue for the others."""
    image = np.zeros((32, 32, 3), np.uint8)
    image[..., 2] = 255
    for release, expected in (("ternaus", (1 - 0.485) / 0.229), ("pytorch_retinaface", -104.0)):
        torch.save(random_weights(release, RESNET), tmp_path / "random.pth")
        detector = RetinaFace(RetinaFaceConfig(weights=str(tmp_path / "random.pth"), device="cpu"))
        seen: list[torch.Tensor] = []
        detector.network.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        detector.detect([image])
        assert seen[0].shape == (1, 3, 32, 32)
        assert torch.allclose(seen[0][0, 0], torch.tensor(expected), atol=1e-4)


def test_missing_weights_are_told_in_one_line(tmp_path: Path) -> None:
    config = RetinaFaceConfig(weights=str(tmp_path / "absent.pth"))
    with pytest.raises(ConfigError, match=r"no RetinaFace weights at .*absent\.pth: get a \.pth file of github"):
        RetinaFace(config)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"release": "ternous"}, "unknown release 'ternous'"),
        ({"min_confidence": 1.0}, "min_confidence must be between 0 and 1"),
        ({"nms_iou": 1.5}, "nms_iou must be within"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RetinaFaceConfig(**wrong)  # type: ignore[arg-type]
