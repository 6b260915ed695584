from __future__ import annotations

import pytest

from curation.backends.registry import FACE_DETECTORS
from curation.clip.observations import Box, FaceBox, Keyframe
from curation.stages.faces import build_tracks
from tests.worlds.portrait import astronaut


def face(x: float, size: float = 0.2) -> FaceBox:
    return FaceBox(box=Box(x0=x, y0=0.3, x1=x + size, y1=0.3 + size), confidence=1.0)


def frames(*faces: tuple[FaceBox, ...]) -> tuple[Keyframe, ...]:
    return tuple(Keyframe(time_s=index / 2, jpeg=b"", faces=found) for index, found in enumerate(faces))


def test_two_people_are_two_tracks_largest_first() -> None:
    tracks = build_tracks(frames(*[(face(0.1), face(0.6, 0.3))] * 4), 0.3, 4)
    assert [len(track.faces) for track in tracks] == [4, 4]
    assert tracks[0].faces[0].box.x0 == 0.6


def test_a_track_survives_a_short_gap_but_not_a_long_one() -> None:
    present, absent = (face(0.4),), ()
    assert len(build_tracks(frames(present, *[absent] * 4, present), 0.3, 4)) == 1
    assert len(build_tracks(frames(present, *[absent] * 5, present), 0.3, 4)) == 2


def test_a_jump_starts_a_new_track() -> None:
    assert len(build_tracks(frames((face(0.1),), (face(0.7),)), 0.3, 4)) == 2


@pytest.mark.parametrize("height", [480, 240])
def test_dlib_finds_the_astronaut_at_several_sizes(height: int) -> None:
    found = FACE_DETECTORS.build("dlib_hog").detect(astronaut(height))
    assert len(found) == 1
    assert found[0].box.centre == pytest.approx((0.44, 0.22), abs=0.05)
