"""Recordings that went wrong once, read by their files: frames, sound, colours and offsets as they should be."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from curation.backends.defects.combing import combed_share
from curation.media import Cut, check_video, cut_clips, iter_raw_frames, probe, read_audio
from tests.curation.media.test_colour import accurately
from tests.worlds.recordings import burst_times, distortion_db

pytestmark = [pytest.mark.clips, pytest.mark.slow]


@dataclass(frozen=True, kw_only=True, slots=True)
class Right:
    """What is right of a recording: in each 110 frames a white square is shown, and a burst heard, from 12 + 25k on."""

    num_frames: int = 110
    bursts: bool = True
    offset_ms: float = 1.0


RIGHT = {
    "late_person.ts": Right(num_frames=235, bursts=False),
    "g50.ts": Right(num_frames=330),
    "g12_mpeg2.ts": Right(num_frames=330),
    "dvd.vob": Right(num_frames=330),
    "long_gop.ts": Right(num_frames=330),
    "h264_bframes.avi": Right(),
    "bars709.mp4": Right(bursts=False),
    "h264_full709.mp4": Right(),
    "rgb_h264.mkv": Right(),
    "interlaced.ts": Right(bursts=False),
    "apac_true.mov": Right(),
    # Two recordings joined with two frames of overlap.
    "rate_change.ts": Right(num_frames=108, bursts=False),
    "mirrored.mp4": Right(bursts=False),
    "two_videos.mkv": Right(),
    "two_sounds.mkv": Right(),
    # Its own sound is 6.5 ms early: what wrote it took the codec's delay off twice. FFmpeg plays it so.
    "live.webm": Right(offset_ms=7.0),
    "elementary.h264": Right(bursts=False),
    "sine_aac.mkv": Right(bursts=False),
    "sine_44k.ts": Right(bursts=False),
}


@pytest.fixture
def cases(shared: Path) -> Path:
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip("no recordings that went wrong")
    return folder


def exported(path: Path) -> list[av.VideoFrame]:
    """The frames of the whole recording as a clip."""
    times = [raw.time_s for raw in iter_raw_frames(str(path))]
    (video,) = cut_clips(str(path), [Cut(0.0, times[-1] + 0.02)])
    assert video is not None
    assert check_video(video.mp4, times) is None
    with av.open(io.BytesIO(video.mp4)) as container:
        return list(container.decode(video=0))


def square_times(frames: list[av.VideoFrame]) -> list[float]:
    """When the square in the corner turns white."""
    lit = [float(frame.to_ndarray(format="gray")[8:40, 8:40].mean()) > 128 for frame in frames]
    return [frame.time for frame, before, now in zip(frames[1:], lit, lit[1:], strict=False) if now and not before]


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_frames_and_offsets(cases: Path, name: str) -> None:
    right, path = RIGHT[name], cases / name
    frames = exported(path)
    assert len(frames) == right.num_frames
    if right.bursts:
        samples, rate_hz = read_audio(str(path), 0.0, right.num_frames / 25)
        heard, shown = burst_times(samples[:, 0], rate_hz), square_times(frames)
        assert len(heard) == len(shown) == 4 * (right.num_frames // 110)
        assert np.abs(np.subtract(heard, shown)).max() * 1000 <= right.offset_ms


@pytest.mark.parametrize("name", ["late_person.ts", "g50.ts", "g12_mpeg2.ts", "dvd.vob", "long_gop.ts", "live.webm"])
def test_segments_are_whole(cases: Path, name: str) -> None:
    whole = [raw.time_s for raw in iter_raw_frames(str(cases / name))]
    parts = [raw.time_s for start in (0, 5, 10) for raw in iter_raw_frames(str(cases / name), start, start + 5)]
    assert parts == whole


@pytest.mark.parametrize("name", ["sine_aac.mkv", "sine_44k.ts"])
def test_a_tone_stays_a_tone(cases: Path, name: str) -> None:
    samples, rate_hz = read_audio(str(cases / name), 0.2, 4.2)
    assert distortion_db(samples[:, 0], rate_hz) < -55


@pytest.mark.parametrize("name", ["bars709.mp4", "h264_full709.mp4", "rgb_h264.mkv", "g50.ts"])
def test_colours_are_those_of_the_source(cases: Path, name: str) -> None:
    with av.open(str(cases / name)) as container:
        source = [accurately(frame) for frame in container.decode(video=0)]
    for ours, theirs in zip(exported(cases / name), source, strict=True):
        assert [int(ours.color_range), int(ours.colorspace), int(ours.color_primaries), int(ours.color_trc)] == [1] * 4
        assert np.abs(blocks(accurately(ours)) - blocks(theirs)).max() <= 3


def blocks(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Means of squares of 64 pixels, (H / 64, W / 64, 3)."""
    height, width = (side // 64 * 64 for side in image.shape[:2])
    squares = image[:height, :width].reshape(height // 64, 64, width // 64, 64, 3)
    return np.asarray(squares.mean(axis=(1, 3)), np.float64)


def test_what_files_say_of_themselves_is_known(cases: Path) -> None:
    def info(name: str):  # type: ignore[no-untyped-def]
        return probe(str(cases / name))

    assert info("hdr_hlg.mov").color_transfer == "arib-std-b67"
    assert info("interlaced.ts").field_order == "tt"
    assert info("mirrored.mp4").mirrored
    assert info("mirrored.mp4").rotation_deg == 0
    assert info("apac_true.mov").audio_stream == 2
    assert info("two_videos.mkv").video_stream == 1
    assert info("two_sounds.mkv").audio_stream == 2
    for name in ("live.webm", "elementary.h264"):
        assert info(name).duration_measured
        assert info(name).duration_s == pytest.approx(4.4, abs=0.05)


def test_interlaced_frames_are_not_combed(cases: Path) -> None:
    assert max(combed_share(raw.luma()) for raw in iter_raw_frames(str(cases / "interlaced.ts"))) < 0.002
