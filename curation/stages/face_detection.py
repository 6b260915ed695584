"""Find the faces on the keyframes of a source, once for all later stages."""

from __future__ import annotations

from dataclasses import replace

from curation.backends.faces.detector import FaceDetector
from curation.clip.observations import FaceBox
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
        images = [keyframe.image() for keyframe in keyframes]
        faces: list[tuple[FaceBox, ...]] = [() for _ in keyframes]
        faces[::2] = self.detector.detect(images[::2])
        between = range(1, len(keyframes), 2)
        near = [index for index in between if any(faces[index - 1 : index + 2])]
        far = [index for index in between if not any(faces[index - 1 : index + 2])]
        for indices, thorough in ((near, True), (far, False)):
            looked = self.detector.detect([images[index] for index in indices], thorough=thorough)
            for index, seen in zip(indices, looked, strict=True):
                faces[index] = seen
        found = tuple(replace(keyframe, faces=seen) for keyframe, seen in zip(keyframes, faces, strict=True))
        return replace(source, keyframes=found)
