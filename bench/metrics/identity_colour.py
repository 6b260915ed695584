"""The face's colour against the portrait's, measured without weights: its error, and its drift over time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from bench.metrics.appearance import by_second, mean_colour
from bench.metrics.measured_video import MeasuredVideo, face_clip
from bench.metrics.metric import Input, Metric, NoValueError, Outcome, VideoInput
from bench.metrics.reference import reference_image
from bench.values import Better, Value
from curation.backends.faces.detector import FaceDetector
from curation.backends.registry import FACE_DETECTORS
from curation.clip.observations import Box

REVISION = 1
"""Raised whenever the code gives other numbers for the same settings."""
INNER = 0.7
"""Share of the detector's box that is measured, about its centre: brows to mouth, no hair and no background."""


class IdentityColour(Metric):
    """ΔE (1976) of the mean colour inside the largest face, on keyframes twice a second."""

    name: ClassVar[str] = "identity_colour"
    values: ClassVar[tuple[Value, ...]] = (
        Value(name="face_colour_error", better=Better.LOWER, unit="ΔE", about="mean distance from the portrait's"),
        Value(
            name="face_colour_drift", better=Better.LOWER, unit="ΔE", about="last seconds' distance minus the first's"
        ),
    )
    inputs: ClassVar[frozenset[Input]] = frozenset({Input.IMAGE})

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Settings and versions."""
        return {"revision": REVISION, "inner": INNER, "detector": "dlib_hog", "opencv": cv2.__version__}

    def measure(self, video: VideoInput) -> Outcome:
        """See the class."""
        image = reference_image(video)
        (faces,) = face_detector().detect([image])
        if not faces:
            raise NoValueError("no face in the reference image")
        portrait = face_colour(image, max(faces, key=lambda face: face.box.area).box)
        clip = face_clip(MeasuredVideo.of(video.path))
        boxes = dict(zip(clip.tracks[0].times_s, clip.tracks[0].faces, strict=True))
        seen = [frame for frame in clip.keyframes if frame.time_s in boxes]
        colours = np.array([face_colour(frame.image(), boxes[frame.time_s].box) for frame in seen])
        error = np.linalg.norm(colours - portrait, axis=1)
        curve = by_second(error[:, None], np.array([frame.time_s for frame in seen]))[:, 0]
        edge = max(1, min(3, len(curve) // 2))
        return Outcome(
            values={
                "face_colour_error": float(error.mean()),
                "face_colour_drift": float(np.mean(curve[-edge:]) - np.mean(curve[:edge])),
            },
            detail={"face_colour_error_by_second": [round(float(value), 3) for value in curve]},
        )


@lru_cache(maxsize=1)
def face_detector() -> FaceDetector:
    """dlib's detector, cached: building it takes half a second."""
    return FACE_DETECTORS.build("dlib_hog")


def face_colour(image: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.float64]:
    """Mean L*a*b* of the inner part of a face.

    Raises:
        NoValueError: the face lies outside the picture.
    """
    (x, y), half_width, half_height = box.centre, box.width * INNER / 2, box.height * INNER / 2
    inner = Box(x0=x - half_width, y0=y - half_height, x1=x + half_width, y1=y + half_height)
    x0, y0, x1, y1 = inner.pixels(image.shape[1], image.shape[0])
    if x0 >= x1 or y0 >= y1:
        raise NoValueError("face outside the picture")
    return mean_colour(image[y0:y1, x0:x1])
