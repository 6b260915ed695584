"""PaddleOCR in its environment, as an actor of Ray, with a network that outlines white areas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import ray

from curation.backends.text.detector import TextBox
from curation.backends.text.paddleocr import PaddleOcrConfig, PaddleOcrTextDetector
from infra.jobs.environments import runtime_env

UNCLIP = 1.5
Image = npt.NDArray[np.uint8]
Edges = tuple[int, int, int, int]


@pytest.fixture(scope="module")
def config(tiny_model: Callable[[str], Path]) -> PaddleOcrConfig:
    return PaddleOcrConfig(
        directory=str(tiny_model("paddle_text")),
        model_name="PP-OCRv5_mobile_det",
        max_side_px=640,
        unclip_ratio=UNCLIP,
        device="cpu",
        batch_size=3,
    )


@pytest.fixture(scope="module")
def detector(config: PaddleOcrConfig, ray_cluster: None) -> Iterator[Any]:
    actor = ray.remote(PaddleOcrTextDetector).options(
        num_cpus=0.5, max_concurrency=2, runtime_env=runtime_env("paddle", is_joined=False)
    )
    running = actor.remote(config)
    yield running
    ray.kill(running)


def drawn(width: int, height: int, *areas: Edges) -> Image:
    """Black with white areas: x0, y0, x1, y1 in pixels."""
    picture = np.zeros((height, width, 3), np.uint8)
    for x0, y0, x1, y1 in areas:
        picture[y0:y1, x0:x1] = 255
    return picture


def widened(width: int, height: int, area: Edges) -> list[float]:
    """What the detector has to answer for an area: PP-OCR moves each edge out by area · ratio / perimeter."""
    x0, y0, x1, y1 = area
    out = UNCLIP * (x1 - x0) * (y1 - y0) / (2 * (x1 - x0) + 2 * (y1 - y0))
    edges = np.array([x0 - out, y0 - out, x1 + out, y1 + out]) / [width, height, width, height]
    return [float(edge) for edge in edges.clip(0, 1)]


def edges(text: TextBox) -> list[float]:
    return [text.box.x0, text.box.y0, text.box.x1, text.box.y1]


def test_text_is_found_where_it_is_from_top_to_bottom(detector: Any) -> None:
    low, high = (100, 280, 500, 310), (200, 40, 300, 60)
    (found,) = ray.get(detector.detect.remote([drawn(640, 352, low, high)]))
    assert len(found) == 2
    for text, area in zip(found, (high, low), strict=True):
        assert edges(text) == pytest.approx(widened(640, 352, area), abs=0.01)
        assert 0.6 < text.confidence <= 1
        assert text.angle_deg == pytest.approx(0, abs=1)


def test_pictures_of_several_sizes_each_get_their_own_text(detector: Any) -> None:
    wide, tall = (60, 100, 260, 130), (40, 300, 200, 330)
    pictures = [drawn(320, 192, wide), drawn(256, 480, tall), drawn(320, 192), drawn(320, 192, wide)]
    found = ray.get(detector.detect.remote(pictures))
    assert [len(texts) for texts in found] == [1, 1, 0, 1]
    assert edges(found[0][0]) == pytest.approx(widened(320, 192, wide), abs=0.015)
    assert edges(found[1][0]) == pytest.approx(widened(256, 480, tall), abs=0.015)
    assert found[3] == found[0]


def test_larger_pictures_are_shrunk_and_their_text_stays_in_place(detector: Any) -> None:
    area = (600, 900, 1400, 960)
    (found,) = ray.get(detector.detect.remote([drawn(1920, 1080, area)]))
    assert edges(found[0]) == pytest.approx(widened(1920, 1080, area), abs=0.015)


def test_threads_share_the_network(detector: Any) -> None:
    areas: list[Edges] = [(20 + 10 * index, 60, 200 + 10 * index, 90) for index in range(8)]
    asked = [detector.detect.remote([drawn(320, 192, area)]) for area in areas]
    for found, area in zip(ray.get(asked), areas, strict=True):
        assert edges(found[0][0]) == pytest.approx(widened(320, 192, area), abs=0.015)
