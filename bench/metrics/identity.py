"""Identity consistency: cosine of ArcFace embeddings of the reference image and the video's largest faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from bench.metrics.measured_video import file_hash
from bench.metrics.metric import Input, Metric, NoValueError, Outcome, VideoInput
from bench.metrics.reference import reference_image
from bench.metrics.scrfd import Scrfd
from bench.metrics.timing import at_least_one, length_s
from bench.values import Better, Value
from bench.weights.source import Content, WebFile, WebWeights, Weights
from curation.media import sample_frames

REVISION = 1
"""Raised whenever the code gives other numbers for the same settings."""
CROP_PX = 112
POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""Places of the five points in ArcFace's crop."""
ARCFACE, DETECTOR = "buffalo_l/w600k_r50.onnx", "buffalo_l/det_10g.onnx"
"""Below the folder of weights."""
BUFFALO_L = WebWeights(
    url="https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip",
    licence="for non-commercial research only",
    download=Content(size=288_621_354, sha256="80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f"),
    files=(
        WebFile(
            path=ARCFACE,
            member="w600k_r50.onnx",
            content=Content(
                size=174_383_860, sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43"
            ),
        ),
        WebFile(
            path=DETECTOR,
            member="det_10g.onnx",
            content=Content(size=16_923_827, sha256="5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91"),
        ),
    ),
)
"""Checksums by those who have pinned the pack; its authors name none."""
GET = (
    "python -m bench fetch-weights --only identity, or get InsightFace's buffalo_l pack "
    "(github.com/deepinsight/insightface) and pass "
    "--arcface-weights w600k_r50.onnx --face-weights det_10g.onnx"
)
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityConfig:
    """Weights and sampling."""

    arcface: Path | None = None
    """ONNX file of an ArcFace network, input 1×3×112×112."""
    detector: Path | None = None
    """ONNX file of SCRFD with five points."""
    frames_per_s: float = 2.0
    """Frames looked at [our choice; the paper does not say]."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.frames_per_s <= 0:
            raise ValueError("frames_per_s must be above 0")


class Identity(Metric):
    """How well the person in the video keeps the identity of the portrait."""

    name: ClassVar[str] = "identity"
    needs: ClassVar[tuple[str, ...]] = (
        "ArcFace weights as ONNX (--arcface-weights)",
        "SCRFD weights with five points as ONNX (--face-weights)",
    )
    weights: ClassVar[tuple[Weights, ...]] = (BUFFALO_L,)
    values: ClassVar[tuple[Value, ...]] = (
        Value(name="identity", better=Better.HIGHER, unit="", about="mean ArcFace cosine with the reference image"),
        Value(name="identity_min", better=Better.HIGHER, unit="", about="the worst frame's"),
        Value(name="identity_drift", better=Better.ZERO, unit="", about="last quarter's mean minus the first's"),
    )
    inputs: ClassVar[frozenset[Input]] = frozenset({Input.IMAGE})

    def __init__(self, config: IdentityConfig | None = None) -> None:
        self.config = config or IdentityConfig()
        self._networks: tuple[Scrfd, ArcFace] | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Settings and the weights' hashes."""
        files = {"arcface": self.config.arcface, "detector": self.config.detector}
        hashes = {name: None if path is None else file_hash(path) for name, path in files.items()}
        return {"revision": REVISION, "frames_per_s": self.config.frames_per_s, **hashes}

    def available(self) -> str | None:
        """Load the weights, which this project may not distribute."""
        if self.config.arcface is None or self.config.detector is None:
            return f"no weights: {GET}"
        for path in (self.config.arcface, self.config.detector):
            if not path.is_file():
                return f"no weights at {path}: {GET}"
        try:
            self._load()
        except Exception as error:  # noqa: BLE001 (onnxruntime's errors have no common base)
            return f"weights that onnxruntime cannot use ({str(error).splitlines()[0]}): {GET}"
        return None

    def measure(self, video: VideoInput) -> Outcome:
        """See the class; frames without a face are counted and left out."""
        reference = self._embed(reference_image(video))
        if reference is None:
            raise NoValueError("no face in the reference image")
        end_s, cosines, times_s, missed = length_s(video.path), [], [], 0
        fps = at_least_one(self.config.frames_per_s, end_s)
        for frame in sample_frames(str(video.path), 0.0, end_s, fps=fps):
            embedding = self._embed(frame.image)
            if embedding is None:
                missed += 1
                continue
            cosines.append(float(reference @ embedding))
            times_s.append(round(frame.time_s, 3))
        if not cosines:
            raise NoValueError("no face", frames=missed)
        quarter = max(1, len(cosines) // 4)
        return Outcome(
            values={
                "identity": float(np.mean(cosines)),
                "identity_min": float(np.min(cosines)),
                "identity_drift": float(np.mean(cosines[-quarter:]) - np.mean(cosines[:quarter])),
            },
            detail={
                "times_s": times_s,
                "cosines": [round(value, 4) for value in cosines],
                "frames_without_face": missed,
            },
        )

    def _embed(self, image: npt.NDArray[np.uint8]) -> Floats | None:
        """Unit embedding of the largest face."""
        detector, arcface = self._load()
        faces = detector.detect(image)
        return arcface.embed(align(image, max(faces, key=lambda face: face.area).points)) if faces else None

    def _load(self) -> tuple[Scrfd, ArcFace]:
        if self._networks is None:
            assert self.config.arcface is not None, "asked for availability first"
            assert self.config.detector is not None, "asked for availability first"
            self._networks = Scrfd(self.config.detector), ArcFace(self.config.arcface)
        return self._networks


class ArcFace:
    """The embedding network on onnxruntime."""

    def __init__(self, weights: Path) -> None:
        self.session = onnxruntime.InferenceSession(str(weights), providers=onnxruntime.get_available_providers())
        self.input = self.session.get_inputs()[0].name

    def embed(self, crop: npt.NDArray[np.uint8]) -> Floats:
        """`(112, 112, 3)` BGR to a unit vector."""
        blob = ((crop[..., ::-1].astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
        embedding = np.asarray(self.session.run(None, {self.input: blob})[0], np.float32).ravel()
        return embedding / max(float(np.linalg.norm(embedding)), 1e-12)


def align(image: npt.NDArray[np.uint8], points: Floats) -> npt.NDArray[np.uint8]:
    """`(112, 112, 3)`: the picture turned, scaled and moved so that `points` `(5, 2)` come closest to `POINTS`."""
    return np.asarray(cv2.warpAffine(image, similarity(points, POINTS), (CROP_PX, CROP_PX)), np.uint8)


def similarity(points: Floats, targets: Floats) -> npt.NDArray[np.float64]:
    """`(2, 3)` least-squares rotation, scale and shift from `(K, 2)` points to targets (Umeyama, 1991)."""
    source = (points - points.mean(0)).astype(np.float64)
    target = (targets - targets.mean(0)).astype(np.float64)
    energy = max(float((source**2).sum()), 1e-12)
    cosine = float((source * target).sum()) / energy
    sine = float((source[:, 0] * target[:, 1] - source[:, 1] * target[:, 0]).sum()) / energy
    turn = np.array([[cosine, -sine], [sine, cosine]])
    shift = targets.mean(0) - turn @ points.mean(0)
    return np.column_stack([turn, shift])
