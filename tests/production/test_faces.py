"""RetinaFace with the real weights of the smallest network, on real frames."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest

from curation.backends.faces.dlib_hog import DlibHog
from curation.backends.faces.retinaface.config import RetinaFaceConfig
from curation.backends.faces.retinaface.detector import RetinaFace
from curation.clip.observations import FaceBox
from curation.clip.schema import Clip

Clips = tuple[Clip, Clip]


@pytest.fixture(scope="module")
def retinaface(tiny_model: Callable[[str], Path]) -> RetinaFace:
    return RetinaFace(RetinaFaceConfig(weights=str(tiny_model("retinaface")), device="cpu", batch_size=32))


def places(faces: tuple[FaceBox, ...]) -> list[list[float]]:
    return [
        [face.confidence, face.box.x0, face.box.y0, face.box.x1, face.box.y1, *np.ravel(face.landmarks)]
        for face in faces
    ]


def test_the_face_lies_where_dlib_sees_it(retinaface: RetinaFace, clips: Clips) -> None:
    pictures = [clip.keyframes[index].image() for clip in clips for index in (0, 3, 6)]
    known = DlibHog().detect(pictures)
    assert sum(map(len, known)) >= len(pictures) / 2
    for faces, others in zip(retinaface.detect(pictures), known, strict=True):
        (face,) = faces
        assert face.confidence > 0.9
        assert all(face.box.iou(other.box) > 0.5 for other in others)
        inside = [face.box.x0 < x < face.box.x1 and face.box.y0 < y < face.box.y1 for x, y in face.landmarks]
        assert inside == [True] * 5


def test_a_batch_of_32_gives_what_each_frame_gives_alone(retinaface: RetinaFace, clips: Clips) -> None:
    frames = [keyframe.image() for clip in clips for keyframe in clip.keyframes]
    shapes = [frame[: 480 - 16 * (index % 3)] for index, frame in enumerate(frames)]
    pictures = list(islice(cycle(shapes), 32))
    together = retinaface.detect(pictures)
    assert len(together) == 32
    alone = [retinaface.detect([picture])[0] for picture in shapes]
    assert sum(map(len, alone)) >= len(shapes)
    for faces, expected in zip(together, cycle(alone), strict=False):
        assert np.allclose(places(faces), places(expected), atol=1e-3)
