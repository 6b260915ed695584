"""Suppression of overlapping boxes."""

from __future__ import annotations

import numpy as np

from curation.backends.suppression import suppress


def greedy(boxes: np.ndarray, scores: np.ndarray, max_iou: float) -> list[int]:
    """The definition, pair by pair."""

    def iou(a: np.ndarray, b: np.ndarray) -> float:
        width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        if width <= 0 or height <= 0:
            return 0.0
        areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
        return float(width * height / (sum(areas) - width * height))

    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if all(iou(boxes[index], boxes[other]) <= max_iou for other in kept):
            kept.append(index)
    return kept


def test_equals_the_definition() -> None:
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 100, (300, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 40, (300, 2))], 1)
    scores = rng.uniform(size=300)
    for max_iou in (0.0, 0.3, 0.7):
        assert suppress(boxes, scores, max_iou).tolist() == greedy(boxes, scores, max_iou)


def test_the_most_confident_comes_first_and_equal_ones_keep_their_order() -> None:
    boxes = np.array([[0, 0, 1, 1], [5, 5, 6, 6], [9, 9, 10, 10], [0, 0, 1, 1.1]], np.float32)
    assert suppress(boxes, np.array([0.5, 0.9, 0.9, 0.4]), 0.4).tolist() == [1, 2, 0]


def test_no_boxes_and_boxes_without_area() -> None:
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.4).tolist() == []
    assert suppress(np.array([[1, 1, 1, 1], [2, 2, 3, 3]]), np.array([0.2, 0.1]), 0.4).tolist() == [0, 1]
