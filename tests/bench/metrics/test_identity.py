from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.metrics.identity import POINTS, Identity, IdentityConfig, align, similarity
from bench.metrics.metric import VideoInput
from bench.metrics.scrfd import Face, Scrfd, suppress
from bench.samples.samples import Sample
from tests.worlds.bench_samples import portrait
from tests.worlds.moving_mouth import write_video
from tests.worlds.tiny_onnx import write_colour_embedding, write_scrfd

BOX = (216.0, 90.0, 330.0, 210.0)
"""The portrait's face in the 640 square."""
FIVE = np.array([[245, 135], [300, 133], [275, 160], [250, 182], [298, 180]], np.float32)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> IdentityConfig:
    folder = tmp_path_factory.mktemp("onnx")
    return IdentityConfig(
        arcface=write_colour_embedding(folder / "arcface.onnx"), detector=write_scrfd(folder / "scrfd.onnx", BOX, FIVE)
    )


def test_the_detector_decodes_boxes_and_points_back_to_the_picture(config: IdentityConfig) -> None:
    assert config.detector is not None
    (face,) = Scrfd(config.detector).detect(portrait())
    assert np.allclose(face.box, np.array(BOX) * 512 / 640, atol=0.01)
    assert np.allclose(face.points, FIVE * 512 / 640, atol=0.01)
    wide = np.full((320, 1280, 3), 200, np.uint8)
    assert np.allclose(Scrfd(config.detector, min_score=0.1).detect(wide)[0].box, np.array(BOX) * 2, atol=0.01)


def test_of_faces_that_overlap_the_surest_stays() -> None:
    def face(x: float, score: float) -> Face:
        return Face(score=score, box=np.array([x, 0, x + 10, 10], np.float32), points=np.zeros((5, 2), np.float32))

    assert [f.score for f in suppress([face(0, 0.6), face(1, 0.9), face(50, 0.7), face(8, 0.55)], 0.4)] == [
        0.9,
        0.7,
        0.55,
    ]


def test_a_similarity_is_recovered_and_is_the_best_one() -> None:
    angle, scale = 0.3, 1.7
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    source = (POINTS - [10, 20]) @ np.linalg.inv(turn).T
    assert np.allclose(similarity(source.astype(np.float32), POINTS), np.column_stack([turn, [10, 20]]), atol=1e-3)
    noisy = (POINTS + np.random.default_rng(0).normal(0, 3, (5, 2))).astype(np.float32)
    best = similarity(noisy, POINTS)

    def error(matrix: np.ndarray) -> float:
        return float(((noisy @ matrix[:, :2].T + matrix[:, 2] - POINTS) ** 2).sum())

    for change in np.random.default_rng(1).normal(0, 1e-2, (200, 4)):
        moved = best + np.array([[change[0], -change[1], change[2]], [change[1], change[0], change[3]]])
        assert error(moved) >= error(best)


def test_the_template_is_the_published_one() -> None:
    published = [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
    assert np.allclose(POINTS, published, atol=1e-4)


def test_aligned_points_fall_where_arcface_wants_them() -> None:
    image = np.zeros((512, 512, 3), np.uint8)
    points = np.asarray(FIVE * 512 / 640, np.float32)
    for x, y in points:
        cv2.circle(image, (round(float(x)), round(float(y))), 2, (255, 255, 255), -1)
    crop = align(image, points)
    matrix = similarity(points, POINTS)
    fitted = points @ matrix[:, :2].T + matrix[:, 2]
    assert crop.shape == (112, 112, 3)
    assert all(crop[round(float(y)), round(float(x))].max() > 100 for x, y in fitted)


def test_the_same_face_scores_one_a_tinted_one_less_and_black_frames_are_counted(
    config: IdentityConfig, tmp_path: Path
) -> None:
    image = portrait()
    cv2.imwrite(str(tmp_path / "portrait.png"), image)
    sample = Sample(id="0001_human_talk_en_female", prompt="", image=tmp_path / "portrait.png")
    metric = Identity(config)
    assert metric.available() is None
    same = metric(VideoInput(path=write_video(tmp_path / "same.mp4", [image] * 50, None), sample=sample))
    assert same.values["identity"] > 0.99
    blue = np.asarray(np.clip(image * np.array([1.6, 1.0, 0.3]), 0, 255), np.uint8)
    turning = write_video(tmp_path / "turning.mp4", [image] * 25 + [blue] * 25, None)
    other = metric(VideoInput(path=turning, sample=sample))
    assert other.values["identity_min"] < other.values["identity"] < same.values["identity"]
    assert other.values["identity_drift"] < -0.1
    black = np.zeros_like(image)
    half = metric(VideoInput(path=write_video(tmp_path / "half.mp4", [image] * 25 + [black] * 25, None), sample=sample))
    assert half.detail["frames_without_face"] == 2
    none = metric(VideoInput(path=write_video(tmp_path / "black.mp4", [black] * 25, None), sample=sample))
    assert none.reason == "no face"


def test_what_is_missing_is_named(config: IdentityConfig, tmp_path: Path) -> None:
    assert "buffalo_l" in (Identity().available() or "")
    absent = IdentityConfig(arcface=tmp_path / "absent.onnx", detector=config.detector)
    assert "no weights at" in (Identity(absent).available() or "")
    swapped = IdentityConfig(arcface=config.detector, detector=config.arcface)
    assert "expected 9 outputs" in (Identity(swapped).available() or "")
    (tmp_path / "text.onnx").write_text("no network")
    broken = IdentityConfig(arcface=tmp_path / "text.onnx", detector=config.detector)
    assert "onnxruntime cannot use" in (Identity(broken).available() or "")
