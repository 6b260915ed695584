"""dlib's HOG face detector: its weights are in the wheel, and on talking clips it finds no false faces."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import dlib
import numpy as np
import numpy.typing as npt

from curation.clip.observations import Box, FaceBox

SMALLEST_FACE_PX = 80
"""The detector's window; without upsampling it misses smaller faces."""
MAX_SHORT_EDGE_PX = 480
SURE = 0.5
"""Score from which a face needs no second look; faces of the window's size score 1 and more."""


class DlibHog:
    """Looks at the picture as it is and, where that finds no sure face, at twice its size, for four times the cost."""

    def __init__(self) -> None:
        self.detector = dlib.get_frontal_face_detector()

    def detect(self, images: Sequence[npt.NDArray[np.uint8]], *, thorough: bool = True) -> list[tuple[FaceBox, ...]]:
        """Pictures `(H, W, 3)` BGR → the faces of each, most confident first; confidence is the SVM's margin, about
        0 to 3."""
        return [self._detect(image, thorough=thorough) for image in images]

    def _detect(self, image: npt.NDArray[np.uint8], *, thorough: bool) -> tuple[FaceBox, ...]:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        height, width = grey.shape
        scale = min(1.0, MAX_SHORT_EDGE_PX / min(height, width))
        if scale < 1.0:
            grey = cv2.resize(grey, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        found = self._run(grey, 0)
        if thorough and not any(face.confidence >= SURE for face in found):
            # A face a little too small for the window scores low at this size and well at twice the size.
            found = max(found, self._run(grey, 1), key=lambda faces: max((f.confidence for f in faces), default=-1.0))
        return tuple(sorted(found, key=lambda face: -face.confidence))

    def _run(self, grey: npt.NDArray[np.uint8], upsample: int) -> list[FaceBox]:
        rectangles, scores, _ = self.detector.run(grey, upsample, 0.0)
        height, width = grey.shape
        return [
            FaceBox(
                box=Box(
                    x0=rectangle.left() / width,
                    y0=rectangle.top() / height,
                    x1=(rectangle.right() + 1) / width,
                    y1=(rectangle.bottom() + 1) / height,
                ),
                confidence=float(score),
            )
            for rectangle, score in zip(rectangles, scores, strict=True)
        ]
