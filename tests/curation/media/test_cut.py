from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from curation.clip.observations import Box
from curation.media import (
    Cut,
    CutVideo,
    check_video,
    cut_clips,
)
from tests.worlds.recordings import Recording, write_recording
from tests.worlds.videos import frame_number, write_video

SMALL = (160, 128)


def numbers_in(mp4: bytes) -> list[int]:
    with av.open(io.BytesIO(mp4)) as container:
        return [frame_number(frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]


def cut(path: str, span: Cut) -> CutVideo:
    (video,) = cut_clips(path, [span])
    assert video is not None
    return video


@pytest.fixture(scope="module")
def two_seconds(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_video(tmp_path_factory.mktemp("cut") / "a.mp4", size=SMALL, seconds=2))


@pytest.mark.parametrize("crop", [None, Box(x0=0.0, y0=0.0, x1=1.0, y1=0.51)])
@pytest.mark.parametrize(("start", "end"), [(0.0, 2.0), (0.52, 1.24), (0.48, 0.96)])
def test_cut_has_exactly_the_frames_of_its_span(two_seconds: str, start: float, end: float, crop: Box | None) -> None:
    clip = cut(two_seconds, Cut(start, end, crop))
    numbers = list(range(round(start * 25), round(end * 25)))
    assert clip.num_frames == len(numbers)
    if crop is None:
        assert numbers_in(clip.mp4) == numbers


def test_copy_only_where_exact(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=SMALL, seconds=2, gop=10))
    assert cut(path, Cut(0.0, 2.0)).stream_copied
    assert not cut(path, Cut(0.04, 1.0)).stream_copied
    odd = str(write_video(tmp_path / "b.mp4", size=SMALL, codec="mpeg4", seconds=1))
    assert not cut(odd, Cut(0.0, 1.0)).stream_copied


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_span_that_ends_in_an_open_group_is_exact(tmp_path: Path, name: str) -> None:
    options = {"x264-params": "open-gop=1:keyint=50:min-keyint=50:scenecut=0"}
    path = write_recording(tmp_path / name, Recording(gop=50, options=options, seconds=6.0, tracks=()))
    times_s = [index / 25 for index in range(50)]
    for start_s in (0.0, 2.0, 4.0):
        assert check_video(cut(str(path), Cut(start_s, start_s + 2.0)).mp4, times_s) is None


def test_variable_frame_rate_keeps_its_timing(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.2, 0.24, 0.5, 0.9]
    path = str(write_video(tmp_path / "a.mp4", size=SMALL, times_s=times))
    clip = cut(path, Cut(0.04, 0.9, Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)))
    with av.open(io.BytesIO(clip.mp4)) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(shown, np.array(times[1:5]) - 0.04, atol=1e-3)


def test_odd_sizes_become_even(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mkv", codec="ffv1", pixel_format="bgr0", size=(321, 243), seconds=0.4))
    clip = cut(path, Cut(0.0, 0.4))
    with av.open(io.BytesIO(clip.mp4)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (320, 242)


def test_overlapping_cuts_come_out_of_one_decode(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=SMALL, codec="mpeg4", seconds=2))
    upper = Box(x0=0.0, y0=0.0, x1=1.0, y1=0.5)
    videos = cut_clips(path, [Cut(0.0, 2.0), Cut(0.4, 0.8), Cut(0.4, 0.8, upper)])
    whole, part, cropped = [video for video in videos if video is not None]
    assert numbers_in(whole.mp4) == list(range(50))
    assert numbers_in(part.mp4) == list(range(10, 20))
    assert cropped.num_frames == 10


def test_a_span_without_frames_gives_nothing(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=SMALL, codec="mpeg4", seconds=0.4))
    whole, beyond = cut_clips(path, [Cut(0.0, 0.4), Cut(7.0, 8.0)])
    assert whole is not None
    assert whole.num_frames == 10
    assert beyond is None
