from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.clip.observations import Box, FaceBox, FrameStats, Keyframe
from curation.clip.schema import Media, Pool, Shot, Source, VideoInfo
from curation.stages.split import Split, SplitConfig, pieces

FACE = FaceBox(box=Box(x0=0.4, y0=0.2, x1=0.6, y1=0.5), confidence=1.5)
INFO = VideoInfo(
    width=1280,
    height=720,
    fps=25,
    duration_s=60,
    codec="h264",
    pixel_format="yuv420p",
    rotation_deg=0,
    sample_aspect_ratio=1.0,
    audio_codec=None,
    audio_rate_hz=0,
    audio_channels=0,
)


def split(
    seconds: float,
    present: list[tuple[float, float]],
    shots: list[float],
    pool: Pool = Pool.HUMAN,
    face: FaceBox = FACE,
) -> Source:
    times = np.arange(round(seconds * 25)) / 25
    zeros = np.zeros(len(times), np.float32)
    keyframes = tuple(
        Keyframe(time_s=float(t), jpeg=b"", faces=(face,) if any(start <= t < end for start, end in present) else ())
        for t in np.arange(0, seconds, 0.5)
    )
    source = Source(
        uri="a.mp4",
        pool=pool,
        media=Media(path="a.mp4", info=INFO),
        shots=tuple(Shot(start_s=a, end_s=b) for a, b in itertools.pairwise([0.0, *shots, seconds])),
        keyframes=keyframes,
        stats=FrameStats(times_s=times, luma_mean=zeros, luma_std=zeros, change=zeros),
    )
    return Split(SplitConfig())(source)


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
