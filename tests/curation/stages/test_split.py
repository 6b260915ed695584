from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.clip.observations import Box, FaceBox, FrameStats, Keyframe
from curation.clip.schema import Clip, Decision, Pool, Shot, Source
from curation.stages.split import Split, SplitConfig, pieces
from tests.worlds.synthetic_run import media

FACE = FaceBox(box=Box(x0=0.4, y0=0.2, x1=0.6, y1=0.5), confidence=1.5)
FILE = media(1280, 720, 60.0)


def split(
    seconds: float,
    present: list[tuple[float, float]],
    shots: list[float],
    pool: Pool = Pool.HUMAN,
    *,
    face: FaceBox = FACE,
    config: SplitConfig | None = None,
    fps: float = 25,
) -> Source:
    times = np.arange(round(seconds * fps)) / fps
    zeros = np.zeros(len(times), np.float32)
    keyframes = tuple(
        Keyframe(time_s=float(t), jpeg=b"", faces=(face,) if any(start <= t < end for start, end in present) else ())
        for t in np.arange(0, seconds, 0.5)
    )
    source = Source(
        uri="a.mp4",
        pool=pool,
        media=FILE,
        shots=tuple(Shot(start_s=a, end_s=b) for a, b in itertools.pairwise([0.0, *shots, seconds])),
        keyframes=keyframes,
        stats=FrameStats(times_s=times, luma_mean=zeros, luma_std=zeros, change=zeros),
    )
    return Split(config or SplitConfig())(source)


def summary(source: Source) -> list[tuple[float, float, str]]:
    return [
        (round(clip.start_s, 2), round(clip.end_s, 2), clip.rejection.rule if clip.rejection else "kept")
        for clip in source.clips
    ]


def test_a_talk_is_cut_into_equal_clips() -> None:
    assert summary(split(9, [(0, 9)], [])) == [(0, 4.52, "kept"), (4.52, 9, "kept")]


def test_people_come_and_go() -> None:
    assert summary(split(20, [(5, 10)], [])) == [
        (0, 4.76, "no_people"),
        (4.76, 9.76, "kept"),
        (9.76, 20, "no_people"),
    ]


def test_a_doubtful_face_is_nobody() -> None:
    at_limit = replace(FACE, confidence=SplitConfig().min_presence_confidence)
    below = replace(FACE, confidence=SplitConfig().min_presence_confidence - 0.01)
    assert summary(split(5, [(0, 5)], [], face=at_limit)) == [(0, 5, "kept")]
    assert summary(split(5, [(0, 5)], [], face=below)) == [(0, 5, "no_people")]


def test_a_turned_head_does_not_end_a_clip() -> None:
    assert summary(split(5, [(0, 2), (3.5, 5)], [])) == [(0, 5, "kept")]


def test_no_clip_crosses_a_cut() -> None:
    assert summary(split(10, [(0, 10)], [4.2])) == [(0, 4.2, "kept"), (4.2, 9.2, "kept"), (9.2, 10, "too_short")]


def test_the_general_pool_needs_no_people() -> None:
    assert summary(split(10, [], [], Pool.GENERAL)) == [(0, 5, "kept"), (5, 10, "kept")]


def test_every_shot_leaves_a_record() -> None:
    source = split(6, [(0, 6)], [0.12, 5.9])
    assert {clip.shot.start_s for clip in source.clips} == {0.0, 0.12, 5.9}
    assert source.clips[0].rejection == Decision(stage="split", rule="too_short", value=0.12)


def test_a_clip_is_all_that_its_source_tells_of_it() -> None:
    source = split(9, [], [5], Pool.GENERAL)
    assert source.stats is not None
    kept, short = source.clips
    for clip, key, start_s, end_s in ((kept, "0000", 0.0, 5.0), (short, "0001", 5.0, 9.0)):
        assert replace(clip, stats=None) == Clip(
            key=f"{source.key}-{key}",
            source="a.mp4",
            media=FILE,
            pool=Pool.GENERAL,
            shot=Shot(start_s=start_s, end_s=end_s),
            start_s=start_s,
            end_s=end_s,
            keyframes=tuple(frame for frame in source.keyframes if start_s <= frame.time_s < end_s),
        )
        assert clip.stats is not None
        np.testing.assert_array_equal(clip.stats.times_s, np.arange(start_s * 25, end_s * 25) / 25)


def test_what_is_shorter_than_four_seconds_is_rejected_with_its_length() -> None:
    assert summary(split(9, [], [5], Pool.GENERAL)) == [(0, 5, "kept"), (5, 9, "kept")]
    rejection = split(8.52, [], [5], Pool.GENERAL).clips[1].rejection
    assert rejection == Decision(stage="split", rule="too_short", value=8.52 - 5.0)


def test_a_keyframe_on_a_cut_belongs_to_the_shot_that_it_begins() -> None:
    assert summary(split(10, [(4, 5)], [5])) == [(0, 3.76, "no_people"), (3.76, 5, "too_short"), (5, 10, "no_people")]
    assert summary(split(10, [(5, 5.1)], [5])) == [(0, 5, "no_people"), (5, 5.28, "too_short"), (5.28, 10, "no_people")]


def test_one_keyframe_without_a_face_at_either_end_is_a_quarter_of_a_second_without_people() -> None:
    assert summary(split(5, [(0.5, 4.5)], [])) == [(0, 0.28, "no_people"), (0.28, 4.28, "kept"), (4.28, 5, "no_people")]


def test_a_piece_after_the_last_frame_begins_at_that_frame() -> None:
    slides = split(3, [], [], Pool.GENERAL, config=SplitConfig(min_clip_s=0.5, max_clip_s=0.5), fps=1)
    assert (slides.clips[-1].start_s, slides.clips[-1].end_s) == (2.0, 3.0)


@pytest.mark.parametrize("lengths", [{"min_clip_s": 0.0}, {"min_clip_s": -1.0}, {"min_clip_s": 5.1}])
def test_lengths_that_no_clip_can_have_are_refused(lengths: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"^min_clip_s must lie between 0 and max_clip_s$"):
        SplitConfig(**lengths)  # type: ignore[arg-type]


def test_pieces_are_equal_wherever_they_can_be() -> None:
    assert pieces(0, 8, 4, 5) == [(0, 4), (4, 8)]
    assert pieces(1, 8.9, 4, 5) == [(1, 6), (6, 8.9)]


@given(st.floats(0.1, 60), st.floats(0, 100))
def test_pieces_cover_the_interval_and_all_but_the_last_fit(length: float, start: float) -> None:
    cut = pieces(start, start + length, 4.0, 5.0)
    assert cut[0][0] == start
    assert cut[-1][1] == pytest.approx(start + length)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(cut))
    assert all(3.99 <= end - begin <= 5.06 for begin, end in cut[:-1])
    assert cut[-1][1] - cut[-1][0] <= 5.06
    if 8.1 <= length <= 9.9 or length >= 16:
        assert cut[-1][1] - cut[-1][0] >= 3.99
