from __future__ import annotations

import pytest

from bench.studies.faces import Looked, largest_difference, pairs
from curation.clip.observations import Box, FaceBox


def face(x: float, confidence: float = 0.9) -> FaceBox:
    return FaceBox(box=Box(x0=x, y0=0.1, x1=x + 0.1, y1=0.2), confidence=confidence)


def test_faces_are_paired_once_and_the_rest_counted_by_detector() -> None:
    looked = Looked(
        nobody=False,
        dlib=(face(0.1), face(0.12), face(0.7)),
        retinaface=(face(0.11), face(0.4), face(0.8, confidence=0.6)),
        size=(640, 480),
    )
    found, missed, extra = pairs(looked, 0.5)
    assert found == [(looked.dlib[0], looked.retinaface[0])]
    assert (missed, extra) == (2, 2)
    assert pairs(looked, 0.7)[2] == 1


def test_the_largest_difference_of_equally_many_faces() -> None:
    assert largest_difference([(face(0.1),), ()], [(face(0.1, 0.8),), ()]) == pytest.approx(0.1)
    assert largest_difference([(face(0.1),)], [(face(0.13),)]) == pytest.approx(0.03)
    assert largest_difference([(face(0.1),)], [()]) is None
