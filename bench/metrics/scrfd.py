"""Faces with five points by SCRFD on onnxruntime (`det_10g.onnx` of InsightFace's buffalo_l), for ArcFace's crop.

Legend: A anchors of one stride (two a cell, row by row), K faces. Points are the eyes, the nose and the mouth's
corners; of each pair, the one further left in the picture (the subject's right) comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

STRIDES = (8, 16, 32)
ANCHORS_PER_CELL = 2
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Face:
    """One face, in pixels of the picture."""

    score: float
    box: Floats
    """`(4,)` x0, y0, x1, y1."""
    points: Floats
    """`(5, 2)`."""

    @property
    def area(self) -> float:
        """Pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


class Scrfd:
    """The detector. Its input is a square: the picture's longer side is scaled to it, the rest filled with zeros."""

    def __init__(self, weights: Path, *, side: int = 640, min_score: float = 0.5, max_overlap: float = 0.4) -> None:
        self.session = onnxruntime.InferenceSession(str(weights), providers=onnxruntime.get_available_providers())
        self.input = self.session.get_inputs()[0].name
        self.side, self.min_score, self.max_overlap = side, min_score, max_overlap
        if len(self.session.get_outputs()) != 3 * len(STRIDES):
            raise ValueError(f"{weights} is no SCRFD with five points: expected 9 outputs")

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Face]:
        """`(H, W, 3)` BGR to faces, most confident first."""
        scale = self.side / max(image.shape[:2])
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        square = np.zeros((self.side, self.side, 3), np.uint8)
        square[: size[1], : size[0]] = cv2.resize(image, size)
        blob = ((square[..., ::-1].astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]
        outputs = [np.asarray(output, np.float32) for output in self.session.run(None, {self.input: blob})]
        faces = decode(outputs, self.side, self.min_score)
        return [
            Face(score=face.score, box=face.box / scale, points=face.points / scale)
            for face in suppress(faces, self.max_overlap)
        ]


def decode(outputs: Sequence[Floats], side: int, min_score: float) -> list[Face]:
    """Faces from the nine outputs: per stride scores `(A, 1)`, then boxes `(A, 4)`, then points `(A, 10)`.

    Boxes are distances from the anchor to the left, top, right and bottom in strides; points are offsets.
    """
    faces = []
    for level, stride in enumerate(STRIDES):
        scores = outputs[level].reshape(-1)
        boxes = outputs[level + len(STRIDES)].reshape(-1, 4) * stride
        points = outputs[level + 2 * len(STRIDES)].reshape(-1, 5, 2) * stride
        cells = side // stride
        for index in np.flatnonzero(scores >= min_score):
            cell = index // ANCHORS_PER_CELL
            centre = np.array([cell % cells, cell // cells], np.float32) * stride
            box = np.concatenate([centre - boxes[index, :2], centre + boxes[index, 2:]])
            faces.append(Face(score=float(scores[index]), box=box, points=centre + points[index]))
    return faces


def suppress(faces: Sequence[Face], max_overlap: float) -> list[Face]:
    """Non-maximum suppression: keep the more confident of faces with an IoU above `max_overlap`; sorted by score."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(_iou(face, other) <= max_overlap for other in kept):
            kept.append(face)
    return kept


def _iou(one: Face, other: Face) -> float:
    low, high = np.maximum(one.box[:2], other.box[:2]), np.minimum(one.box[2:], other.box[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    return common / max(one.area + other.area - common, 1e-9)
