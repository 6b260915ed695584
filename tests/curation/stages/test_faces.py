from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curation.backends.registry import FACE_DETECTORS
from curation.clip.observations import Box, FaceBox, FaceTrack, Keyframe
from curation.clip.schema import Clip, Decision, Pool
from curation.stages.faces import FacesConfig, FacesFilter, build_tracks
from tests.worlds.people_clips import make_clip
from tests.worlds.portrait import astronaut


def face(x: float, size: float = 0.2, confidence: float = 1.0) -> FaceBox:
    return FaceBox(box=Box(x0=x, y0=0.3, x1=x + size, y1=0.3 + size), confidence=confidence)


def frames(*faces: tuple[FaceBox, ...]) -> tuple[Keyframe, ...]:
    return tuple(Keyframe(time_s=index / 2, jpeg=b"", faces=found) for index, found in enumerate(faces))


def test_two_people_are_two_tracks_largest_first() -> None:
    tracks = build_tracks(frames(*[(face(0.1), face(0.6, 0.3))] * 4), 0.3, 4)
    assert [len(track.faces) for track in tracks] == [4, 4]
    assert tracks[0].faces[0].box.x0 == 0.6


def test_a_track_survives_a_short_gap_but_not_a_long_one() -> None:
    present, absent = (face(0.4),), ()
    assert len(build_tracks(frames(present, *[absent] * 4, present), 0.3, 4)) == 1
    apart = build_tracks(frames(present, *[absent] * 5, present), 0.3, 4)
    assert [track.times_s for track in apart] == [(0.0,), (3.0,)]


def test_a_jump_starts_a_new_track() -> None:
    assert len(build_tracks(frames((face(0.1),), (face(0.7),)), 0.3, 4)) == 2


def test_faces_follow_in_one_track_with_their_times() -> None:
    seen = frames((face(0.4),), (), (face(0.42),))
    (track,) = build_tracks(seen, 0.3, 4)
    assert track == FaceTrack(times_s=(0.0, 1.0), faces=(face(0.4), face(0.42)))


def test_a_gap_is_counted_in_keyframes_from_where_the_face_was_last_seen() -> None:
    present, absent = (face(0.4),), ()
    # Late in a clip, at keyframes that lie closer together than a second.
    late = frames(*[absent] * 8, present, *[absent] * 4, present)
    assert [track.times_s for track in build_tracks(late, 0.3, 4)] == [(4.0, 6.5)]
    assert len(build_tracks(frames(present, absent, present), 0.3, 0)) == 2
    assert len(build_tracks(frames(present, present), 0.3, 0)) == 1


def test_every_track_that_ended_is_kept() -> None:
    first, second, third = (face(0.0),), (face(0.4),), (face(0.8),)
    tracks = build_tracks(frames(first, (), second, (), third), 0.3, 0)
    assert {track.times_s for track in tracks} == {(0.0,), (1.0,), (2.0,)}


def test_an_overlap_at_the_limit_continues_a_track() -> None:
    here, there = face(0.4), face(0.5)
    overlap = here.box.iou(there.box)
    assert len(build_tracks(frames((here,), (there,)), overlap, 4)) == 1
    assert len(build_tracks(frames((here,), (there,)), overlap + 1e-9, 4)) == 2


def test_the_larger_of_two_faces_continues_the_track() -> None:
    small, large = face(0.4, 0.2), face(0.4, 0.24)
    tracks = build_tracks(frames((face(0.4, 0.2),), (small, large)), 0.3, 4)
    assert [track.faces for track in tracks] == [(small, large), (small,)]


def test_a_lasting_face_comes_before_a_larger_one_that_is_soon_gone() -> None:
    tracks = build_tracks(frames((face(0.1), face(0.5, 0.3)), *[(face(0.1),)] * 3), 0.3, 4)
    assert [len(track.faces) for track in tracks] == [4, 1]


GREY = make_clip([np.full((90, 160, 3), 128, np.uint8)] * 4)


def clip_with(*faces: tuple[FaceBox, ...], pool: Pool = Pool.HUMAN) -> Clip:
    return replace(GREY, keyframes=frames(*faces), pool=pool)


# Half of the keyframes show the main face, with a mean confidence of 0.5 and a mean height of 0.25.
SEEN = ((face(0.5, 0.3, 0.75), face(0.1, 0.1, 3.0)), (face(0.5, 0.2, 0.25),), (), ())
SCORES = {"face_presence": 0.5, "face_confidence": 0.5, "face_height": pytest.approx(0.25)}


@pytest.mark.parametrize("pool", Pool)
def test_the_main_track_is_scored_and_a_clip_at_both_limits_is_kept(pool: Pool) -> None:
    clip = clip_with(*SEEN, pool=pool)
    done = FacesFilter(FacesConfig(min_presence=0.5, min_confidence=0.5, min_height=0.2))(clip)
    assert dict(done.scores) == SCORES
    tracks = build_tracks(clip.keyframes, 0.3, 4)
    assert [len(track.faces) for track in tracks] == [2, 1]
    assert done == replace(clip, tracks=tracks, scores=done.scores)


@pytest.mark.parametrize(
    ("config", "decision"),
    [
        (FacesConfig(min_presence=0.6), Decision(stage="faces", rule="presence", value=0.5, threshold=0.6)),
        (FacesConfig(min_confidence=0.6), Decision(stage="faces", rule="confidence", value=0.5, threshold=0.6)),
        (FacesConfig(min_height=0.3), Decision(stage="faces", rule="small", value=0.25, threshold=0.3)),
        (
            FacesConfig(min_presence=0.6, min_confidence=0.6),
            Decision(stage="faces", rule="presence", value=0.5, threshold=0.6),
        ),
    ],
)
def test_below_a_limit_a_clip_of_people_is_rejected(config: FacesConfig, decision: Decision) -> None:
    done = FacesFilter(config)(clip_with(*SEEN))
    assert done.rejection == decision
    assert dict(done.scores) == SCORES
    assert FacesFilter(config)(clip_with(*SEEN, pool=Pool.GENERAL)).kept


def test_without_a_face_a_clip_of_people_is_rejected() -> None:
    nobody = {"face_presence": 0.0, "face_confidence": None, "face_height": None}
    done = FacesFilter(FacesConfig())(clip_with((), ()))
    assert done.rejection == Decision(stage="faces", rule="no_face", value=0.0, threshold=0.0)
    assert (done.tracks, dict(done.scores)) == ((), nobody)
    general = FacesFilter(FacesConfig())(clip_with((), (), pool=Pool.GENERAL))
    assert (general.kept, dict(general.scores)) == (True, nobody)


def test_tracks_are_built_with_the_limits_of_the_config() -> None:
    apart = clip_with((face(0.4),), (), (face(0.5),))
    overlap = face(0.4).box.iou(face(0.5).box)
    for config, num_tracks in (
        (FacesConfig(min_iou=overlap, max_gap_frames=1), 1),
        (FacesConfig(min_iou=overlap + 0.1, max_gap_frames=1), 2),
        (FacesConfig(min_iou=overlap, max_gap_frames=0), 2),
    ):
        assert len(FacesFilter(config)(apart).tracks) == num_tracks


@pytest.mark.parametrize("height", [480, 240])
def test_dlib_finds_the_astronaut_at_several_sizes(height: int) -> None:
    found = FACE_DETECTORS.build("dlib_hog").detect([astronaut(height)])[0]
    assert len(found) == 1
    assert found[0].box.centre == pytest.approx((0.44, 0.22), abs=0.05)
