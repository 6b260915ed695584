from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from curation.clip.observations import Box
from curation.media import (
    Cut,
    CutVideo,
    MediaError,
    check_video,
    cut_clips,
    duration_s,
    iter_frames,
    probe,
    read_audio,
    sample_frames,
)
from tests.worlds.recordings import Recording, write_recording
from tests.worlds.videos import frame_number, tone, write_video


def numbers_in(mp4: bytes) -> list[int]:
    with av.open(io.BytesIO(mp4)) as container:
        return [frame_number(frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]


def cut(path: str, span: Cut) -> CutVideo:
    (video,) = cut_clips(path, [span])
    assert video is not None
    return video


def test_every_frame_once_in_order(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", seconds=2)
    frames = list(iter_frames(str(path)))
    assert [frame_number(frame.image) for frame in frames] == list(range(50))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(50) / 25, atol=1e-3)


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.4), (0.52, 1.0), (1.6, 2.0), (0.88, 0.92)])
def test_a_span_is_exact_after_seeking(tmp_path: Path, start: float, end: float) -> None:
    path = write_video(tmp_path / "a.mp4", seconds=2)
    frames = [frame_number(frame.image) for frame in iter_frames(str(path), start, end)]
    assert frames == list(range(round(start * 25), round(end * 25)))


def test_display_size_honours_pixel_shape(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=(320, 288), aspect=Fraction(16, 11), seconds=0.2))
    info = probe(path)
    assert (info.width, info.height) == (465, 288)
    assert next(iter_frames(path)).image.shape == (288, 465, 3)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_applied_as_a_player_does(tmp_path: Path, rotation: int) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=(320, 200), seconds=0.2, rotation_deg=rotation))
    info = probe(path)
    image = next(iter_frames(path)).image
    assert (info.width, info.height) == image.shape[1::-1]
    assert (info.width, info.height) == ((320, 200) if rotation == 180 else (200, 320))
    upright = np.rot90(image, -info.rotation_deg // 90 % 4 if rotation == 180 else info.rotation_deg // 90)
    assert frame_number(np.ascontiguousarray(upright)) == 0


def test_sampling_repeats_and_skips_by_time(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.5, 0.52, 0.54, 0.9]
    path = write_video(tmp_path / "a.mp4", times_s=times)
    frames = [frame_number(frame.image) for frame in sample_frames(str(path), 0.0, 1.0, fps=10)]
    assert frames == [0, 1, 1, 1, 1, 2, 4, 4, 4, 5]


@pytest.mark.parametrize("crop", [None, Box(x0=0.0, y0=0.0, x1=1.0, y1=0.51)])
@pytest.mark.parametrize(("start", "end"), [(0.0, 2.0), (0.52, 1.24), (0.48, 0.96)])
def test_cut_has_exactly_the_frames_of_its_span(tmp_path: Path, start: float, end: float, crop: Box | None) -> None:
    path = str(write_video(tmp_path / "a.mp4", seconds=2))
    clip = cut(path, Cut(start, end, crop))
    numbers = list(range(round(start * 25), round(end * 25)))
    assert clip.num_frames == len(numbers)
    if crop is None:
        assert numbers_in(clip.mp4) == numbers


def test_copy_only_where_exact(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", seconds=2, gop=10))
    assert cut(path, Cut(0.0, 2.0)).stream_copied
    assert not cut(path, Cut(0.04, 1.0)).stream_copied
    odd = str(write_video(tmp_path / "b.mp4", codec="mpeg4", seconds=1))
    assert not cut(odd, Cut(0.0, 1.0)).stream_copied


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_span_that_ends_in_an_open_group_is_exact(tmp_path: Path, name: str) -> None:
    options = {"x264-params": "open-gop=1:keyint=50:min-keyint=50:scenecut=0"}
    path = write_recording(tmp_path / name, Recording(gop=50, options=options, seconds=6.0, tracks=()))
    times_s = [index / 25 for index in range(50)]
    for start_s in (0.0, 2.0, 4.0):
        assert check_video(cut(str(path), Cut(start_s, start_s + 2.0)).mp4, times_s) is None


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("10:30.mp4", "file:x.mp4"):
        write_video(tmp_path / name, seconds=1.0)
        assert probe(name).duration_s == duration_s(name) == pytest.approx(1.0)


def test_variable_frame_rate_keeps_its_timing(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.2, 0.24, 0.5, 0.9]
    path = str(write_video(tmp_path / "a.mp4", times_s=times))
    clip = cut(path, Cut(0.04, 0.9, Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)))
    with av.open(io.BytesIO(clip.mp4)) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(shown, np.array(times[1:5]) - 0.04, atol=1e-3)


def test_odd_sizes_become_even(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mkv", codec="ffv1", pixel_format="bgr0", size=(321, 243), seconds=0.4))
    clip = cut(path, Cut(0.0, 0.4))
    with av.open(io.BytesIO(clip.mp4)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (320, 242)


def test_audio_is_sample_exact(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mkv", seconds=2, audio_seconds=2, audio_codec="pcm_s16le"))
    whole = tone(2, 16000)
    for start, end in [(0.0, 2.0), (0.5, 1.25), (1.333, 1.9)]:
        samples, rate = read_audio(path, start, end)
        assert rate == 16000
        np.testing.assert_array_equal(samples[:, 0], whole[round(start * rate) :][: round((end - start) * rate)])


def test_audio_beyond_its_end_is_silence(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mkv", seconds=2, audio_seconds=1, audio_codec="pcm_s16le"))
    samples, _ = read_audio(path, 0.5, 1.5)
    assert len(samples) == 16000
    assert np.abs(samples[8100:]).max() == 0
    assert np.abs(samples[:7900]).max() > 8000


def test_resampled_audio_has_the_span_s_length(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mkv", seconds=2, audio_seconds=2, audio_codec="pcm_s16le"))
    samples, rate = read_audio(path, 0.1, 1.77, sample_rate_hz=44100)
    assert (len(samples), rate) == (round(1.67 * 44100), 44100)


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [("empty.mp4", b"", "empty_file"), ("noise.mp4", bytes(range(256)) * 40, "unreadable")],
)
def test_unreadable_files_have_a_reason(tmp_path: Path, name: str, content: bytes, rule: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MediaError) as error:
        probe(str(path))
    assert error.value.rule == rule


def test_missing_and_soundless(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="missing"):
        probe(str(tmp_path / "none.mp4"))
    silent = str(write_video(tmp_path / "a.mp4", seconds=0.2))
    assert probe(silent).audio_codec is None
    with pytest.raises(ValueError, match="no audio"):
        read_audio(silent, 0, 0.1)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(tone(1, 16000)[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(MediaError, match="no_video_stream"):
        probe(str(path))


def test_overlapping_cuts_come_out_of_one_decode(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", codec="mpeg4", seconds=2))
    upper = Box(x0=0.0, y0=0.0, x1=1.0, y1=0.5)
    videos = cut_clips(path, [Cut(0.0, 2.0), Cut(0.4, 0.8), Cut(0.4, 0.8, upper)])
    whole, part, cropped = [video for video in videos if video is not None]
    assert numbers_in(whole.mp4) == list(range(50))
    assert numbers_in(part.mp4) == list(range(10, 20))
    assert cropped.num_frames == 10


def test_a_span_without_frames_gives_nothing(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", codec="mpeg4", seconds=0.4))
    whole, beyond = cut_clips(path, [Cut(0.0, 0.4), Cut(7.0, 8.0)])
    assert whole is not None
    assert whole.num_frames == 10
    assert beyond is None
