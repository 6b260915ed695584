"""The type of a sample's shot: the public files do not say it, so it is measured on the image as in curation."""

from __future__ import annotations

from functools import cache

import cv2

from bench.samples.samples import Sample
from curation.backends.faces.detector import FaceDetector
from curation.backends.faces.figure import visible_heads
from curation.backends.registry import FACE_DETECTORS
from curation.clip.schema import ShotType
from curation.stages.pose import PoseConfig


def measure_shot(sample: Sample) -> ShotType | None:
    """The shot of a sample's image by its largest face; None where no image can be read or no face is found in it."""
    try:
        image = None if sample.image is None else cv2.imread(str(sample.image))
        faces = () if image is None else _detector().detect([image])[0]
    except (cv2.error, RuntimeError):  # OpenCV's and dlib's, for a picture that is too large for them
        return None
    return shot_type(visible_heads(faces[0].box)) if faces else None


def shot_type(heads: float) -> ShotType:
    """The type of a shot that ends `heads` head heights below the crown (figure of eight heads)."""
    limits = PoseConfig()
    if heads < limits.portrait_below_heads:
        return ShotType.PORTRAIT
    return ShotType.UPPER_BODY if heads < limits.full_body_from_heads else ShotType.FULL_BODY


@cache
def _detector() -> FaceDetector:
    """The detector, loaded once: loading takes longer than detecting faces in an image."""
    return FACE_DETECTORS.build("dlib_hog")
