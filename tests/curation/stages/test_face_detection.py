"""Which keyframes are looked at, and how thoroughly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from curation.clip.observations import Box, FaceBox, Keyframe
from curation.clip.schema import Source
from curation.stages.face_detection import FaceDetection

FACE = FaceBox(box=Box(x0=0.4, y0=0.2, x1=0.6, y1=0.5), confidence=1.5)


class Told:
    """A detector that is told at which times there is a face; keyframes carry their time as content."""

    def __init__(self, present: set[float]) -> None:
        self.present = present
        self.looked: list[tuple[float, bool]] = []

    def detect(self, images: Sequence[np.ndarray], *, thorough: bool = True) -> list[tuple[FaceBox, ...]]:
        self.looked += [(float(image), thorough) for image in images]
        return [(FACE,) if float(image) in self.present else () for image in images]


@pytest.fixture(autouse=True)
def times_as_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Keyframe, "image", lambda self: np.asarray(self.time_s))


def source(*times_s: float) -> Source:
    return Source(uri="a.mp4", keyframes=tuple(Keyframe(time_s=time_s, jpeg=b"") for time_s in times_s))


@pytest.mark.parametrize("present", [set(), {0.0, 1.0, 2.0, 3.0}, {1.0}, {4.0}])
def test_every_keyframe_has_its_faces(present: set[float]) -> None:
    done = FaceDetection(Told(present))(source(0, 1, 2, 3, 4))
    assert {keyframe.time_s for keyframe in done.keyframes if keyframe.faces} == present
    assert [keyframe.time_s for keyframe in done.keyframes] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("num_keyframes", [5, 6])
@pytest.mark.parametrize(
    ("present", "thorough_between"),
    [(set(), set()), ({0.0}, {1.0}), ({2.0}, {1.0, 3.0}), ({4.0}, {3.0, 5.0}), ({3.0}, set())],
)
def test_each_is_looked_at_once_and_thoroughly_between_only_beside_a_face(
    num_keyframes: int, present: set[float], thorough_between: set[float]
) -> None:
    detector = Told(present)
    FaceDetection(detector)(source(*range(num_keyframes)))
    thorough = {0.0, 2.0, 4.0} | thorough_between
    assert sorted(detector.looked) == [(time_s, time_s in thorough) for time_s in range(num_keyframes)]


def test_a_source_without_keyframes_has_no_faces() -> None:
    assert FaceDetection(Told(set()))(source()).keyframes == ()
