"""Find the faces on the keyframes of a source, once for all later stages."""

from __future__ import annotations

from dataclasses import replace

from curation.backends.faces.detector import FaceDetector
from curation.clip.schema import Source


class FaceDetection:
    """Give every keyframe its faces; decides nothing. It counts as part of `split`, which needs these faces."""

    def __init__(self, detector: FaceDetector) -> None:
        self.detector = detector

    def __call__(self, source: Source) -> Source:
        """Look thoroughly at every other keyframe; at a keyframe in between only if one beside it shows a face.

        Pictures without people cost the most, because the detector looks for small faces only where it finds no others.
        """
        keyframes = source.keyframes
        faces = [
            self.detector.detect(keyframe.image()) if index % 2 == 0 else () for index, keyframe in enumerate(keyframes)
        ]
        for index in range(1, len(keyframes), 2):
            beside = faces[index - 1] or (faces[index + 1] if index + 1 < len(faces) else ())
            faces[index] = self.detector.detect(keyframes[index].image(), thorough=bool(beside))
        found = tuple(replace(keyframe, faces=seen) for keyframe, seen in zip(keyframes, faces, strict=True))
        return replace(source, keyframes=found)
