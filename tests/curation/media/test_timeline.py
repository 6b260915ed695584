"""Every frame once, in order, at its time, from whatever a container says of times."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import pytest

from curation.media import MediaError, duration_s, file_end_s, frame_times, iter_raw_frames, probe, timeline
from curation.media.facts import Facts
from curation.media.timed_frame import TimedFrame
from tests.worlds.recordings import Recording, Track, delayed, exported_offsets_ms, numbers_seen, write_recording
from tests.worlds.videos import frame_number, picture, write_video

SMALL = (64, 64)
PCM = Track(codec="pcm_s16le")
"""AVI cannot say that AAC begins with a frame of nothing."""
SEEKING = {
    "a transport stream with a key frame every 2 s": ("a.ts", Recording(gop=50, seconds=6.6)),
    "a transport stream with one key frame": ("a.ts", Recording(gop=1000, seconds=6.6)),
    "MPEG-2 in a transport stream, open groups": (
        "a.ts",
        Recording(codec="mpeg2video", gop=12, b_frames=2, seconds=6.6, options={"b": "4M"}),
    ),
    "MPEG-2 in a program stream": (
        "a.vob",
        Recording(
            codec="mpeg2video", gop=12, b_frames=2, seconds=6.6, options={"b": "4M"}, tracks=(Track(codec="mp2"),)
        ),
    ),
    "Matroska": ("a.mkv", Recording(gop=50, seconds=6.6)),
    "open groups in mp4": ("a.mp4", Recording(gop=50, seconds=6.6, options={"x264-params": "open-gop=1"})),
    "Flash video": ("a.flv", Recording(gop=50, seconds=6.6)),
    "H.264 with B-frames in AVI": ("a.avi", Recording(gop=50, seconds=6.6, tracks=(PCM,))),
}


@pytest.fixture(scope="module", params=sorted(SEEKING))
def seekable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name, recording = SEEKING[request.param]
    return write_recording(tmp_path_factory.mktemp("seeking") / name, recording)


def test_segments_have_every_frame_once(seekable: Path) -> None:
    expected = [list(range(65)), list(range(65, 130)), list(range(130, 165))]
    # Each begins with a seek, because the one before does not lead up to it.
    backwards = [numbers_seen(seekable, start, start + 2.6) for start in (5.2, 2.6, 0.0)]
    assert backwards[::-1] == expected
    in_turn = [numbers_seen(seekable, start, start + 2.6) for start in (0.0, 2.6, 5.2)]
    assert in_turn == expected


def opened(path: Path, *spans: tuple[float, float]) -> tuple[list[list[int]], int]:
    """The pictures of each span, and how many decodes of the file were begun."""
    begun: list[float] = []

    def noted(path: str, facts: Facts, start_s: float) -> Iterator[TimedFrame]:
        begun.append(start_s)
        return decode_from(path, facts, start_s)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, "_from", noted)
        return [numbers_seen(path, *span) for span in spans], len(begun)


decode_from = timeline._from


@pytest.mark.parametrize(
    ("spans", "num_decodes"),
    [
        (((0.0, 1.0), (1.0, 2.0), (2.4, 3.0)), 1),
        (((0.0, 1.0), (0.48, 2.0)), 2),
        (((0.0, 1.0), (2.4, 3.0)), 2),
        (((0.0, 9.0), (2.0, 3.0)), 2),
    ],
    ids=["one after the other", "overlapping", "far apart", "after the end"],
)
def test_a_span_that_follows_the_last_one_is_decoded_on(
    tmp_path: Path, spans: tuple[tuple[float, float], ...], num_decodes: int
) -> None:
    path = write_recording(tmp_path / "a.mp4", Recording(gop=1000, seconds=4.0))
    numbers, begun = opened(path, *spans)
    assert numbers == [list(range(round(25 * start), min(round(25 * end), 100))) for start, end in spans]
    assert begun == num_decodes


def test_a_file_that_was_changed_is_opened_anew(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", size=SMALL, seconds=2.0)
    assert numbers_seen(path, 0.0, 1.0) == list(range(25))
    write_video(path, size=SMALL, times_s=[0.0, 1.0, 1.5])
    assert numbers_seen(path, 1.0, 2.0) == [1, 2]


def test_sound_and_picture_are_exported_together(seekable: Path) -> None:
    # AAC and MP2 smear a burst by a fraction of a millisecond, Flash and Matroska round times to one.
    offsets = exported_offsets_ms(seekable, 2.6, 6.4)
    assert len(offsets) == 3
    assert all(abs(offset) <= 0.6 for offset in offsets), offsets


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("a.avi", Recording(tracks=(PCM,))),
        ("a.avi", Recording(codec="mpeg4", b_frames=2, options={"b": "4M"}, tracks=(PCM,))),
        ("a.h264", Recording(container="h264", tracks=())),
        ("a.hevc", Recording(container="hevc", codec="libx265", tracks=())),
        ("a.m4v", Recording(container="m4v", codec="mpeg4", tracks=(), options={"b": "4M"})),
    ],
    ids=["H.264 in AVI", "MPEG-4 in AVI", "bare H.264", "bare HEVC", "bare MPEG-4"],
)
def test_without_times_of_presentation_frames_are_counted(tmp_path: Path, name: str, recording: Recording) -> None:
    path = write_recording(tmp_path / name, recording)
    info = probe(str(path))
    assert info.times_counted
    assert numbers_seen(path) == list(range(110))
    times = [raw.time_s for raw in iter_raw_frames(str(path))]
    assert times == pytest.approx([index / 25 for index in range(110)], abs=1e-3)
    assert frame_times(str(path)) == times
    assert info.duration_s == pytest.approx(4.4, abs=0.05)
    if recording.tracks:
        offsets = exported_offsets_ms(path, 0.0, 4.4)
        assert len(offsets) == 4
        assert all(abs(offset) <= 0.6 for offset in offsets), offsets


def test_a_missing_duration_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "live.webm"
    recording = Recording(codec="libvpx", options={"live": "1"}, b_frames=0, size=SMALL, seconds=3.0, tracks=())
    write_recording(tmp_path / "whole.webm", recording)
    # What a live recording leaves: the header's length and the index stay unwritten, clusters are of unknown size.
    path.write_bytes(without_duration((tmp_path / "whole.webm").read_bytes()))
    info = probe(str(path))
    assert info.duration_measured
    assert info.duration_s == pytest.approx(3.0, abs=0.05)
    with path.open("rb") as file:
        assert duration_s(file) == pytest.approx(3.0, abs=0.05)


def test_a_duration_that_nobody_would_believe_is_measured(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mkv", Recording(seconds=2.0, tracks=()))
    data = path.read_bytes()
    at = data.index(bytes.fromhex("4489"), 0, 512)
    damaged = data[: at + 3] + struct.pack(">d", 1e12) + data[at + 11 :]
    path.write_bytes(damaged)
    assert probe(str(path)).duration_s == pytest.approx(2.0, abs=0.05), "the stream's own tag"
    path.write_bytes(damaged.replace(b"DURATION", b"LASTINGS"))
    assert probe(str(path)).duration_measured
    assert probe(str(path)).duration_s == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("name", ["a.mkv", "a.flv", "a.ts", "a.mp4"])
def test_a_picture_that_begins_late_lasts_no_longer(tmp_path: Path, name: str) -> None:
    whole = write_recording(tmp_path / "whole.mp4", Recording(size=SMALL))
    path = delayed(whole, tmp_path / name, 2.0, kind="video")
    assert probe(str(path)).duration_s == pytest.approx(4.4, abs=0.05)
    assert duration_s(str(path)) == pytest.approx(4.4, abs=0.05)
    assert file_end_s(str(path)) == pytest.approx(4.4, abs=0.05)


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.flv"])
def test_a_clock_may_begin_anywhere(tmp_path: Path, name: str) -> None:
    codec, sound = ("libvpx", "libopus") if name == "a.webm" else ("libx264", "aac")
    recording = Recording(codec=codec, b_frames=0, size=SMALL, tracks=(Track(codec=sound),))
    path = write_recording(tmp_path / name, replace(recording, container_options={"output_ts_offset": "3600"}))
    assert probe(str(path)).duration_s == pytest.approx(4.4, abs=0.05)
    assert duration_s(str(path)) == pytest.approx(4.4, abs=0.05)


def test_sound_that_goes_on_is_no_picture(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mkv", Recording(size=SMALL, left_out=lambda index: index >= 60))
    assert probe(str(path)).duration_s == pytest.approx(2.4, abs=0.05)
    assert file_end_s(str(path)) == pytest.approx(4.4, abs=0.05)


def test_a_transport_stream_that_begins_between_key_frames_lasts_as_long_as_its_pictures(tmp_path: Path) -> None:
    whole = write_recording(tmp_path / "whole.ts", Recording(gop=50, seconds=6.6)).read_bytes()
    path = tmp_path / "a.ts"
    path.write_bytes(whole[: 3 * 188] + whole[len(whole) // 3 // 188 * 188 :])
    seen = [raw.time_s for raw in iter_raw_frames(str(path))]
    assert probe(str(path)).duration_s == pytest.approx(seen[-1] + 0.04, abs=0.05)


@pytest.mark.parametrize(("name", "codec", "rate"), [("a.h264", "libx264", 30), ("a.hevc", "libx265", 50)])
def test_bare_streams_have_their_own_rate(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as output:
        video = output.add_stream(codec, rate=rate)
        video.width, video.height, video.pix_fmt = 160, 128, "yuv420p"
        for index in range(60):
            frame = av.VideoFrame.from_ndarray(picture(index, 160, 128), format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    info = probe(str(path))
    assert info.fps == rate
    assert info.duration_s == pytest.approx(60 / rate, abs=1e-3)
    assert numbers_seen(path) == list(range(60))
    times = [raw.time_s for raw in iter_raw_frames(str(path))]
    assert times == pytest.approx([index / rate for index in range(60)], abs=1e-4)


def test_packets_that_say_as_before_are_no_damage(tmp_path: Path) -> None:
    whole = write_recording(tmp_path / "whole.mkv", Recording(tracks=(), left_out=lambda index: 30 <= index < 60))
    path = tmp_path / "a.ogv"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(whole), "-c:v", "libtheora", "-q:v", "9"]
    subprocess.run([*command, str(path)], check=True, stdin=subprocess.DEVNULL)
    frames = list(iter_raw_frames(str(path)))
    assert not any(frame.damaged for frame in frames)
    assert sorted({frame_number(frame.image()) for frame in frames}) == [*range(30), *range(60, 110)]
    assert len(frame_times(str(path))) == len(frames)


def test_one_picture_that_runs_ahead_takes_no_others_with_it(tmp_path: Path) -> None:
    # The clock of a program stream begins anew after 33 bits.
    recording = Recording(
        codec="mpeg2video", gop=12, b_frames=2, seconds=6.6, options={"b": "4M"}, tracks=(),
        container_options={"output_ts_offset": str(2**33 / 90_000 - 3)},
    )  # fmt: skip
    assert numbers_seen(write_recording(tmp_path / "a.vob", recording)) == list(range(165))


def test_times_that_run_away_are_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", size=SMALL, times_s=[0.0, 0.04, 0.08, 30.0])
    assert len(numbers_seen(path)) == 4
    path = write_video(tmp_path / "b.mkv", size=SMALL, times_s=[0.0, 0.04, 0.08, 90.0])
    with pytest.raises(MediaError, match="times_jump"):
        numbers_seen(path)


def without_duration(matroska: bytes) -> bytes:
    """The same file, its element Duration made a void of the same length."""
    at = matroska.index(bytes.fromhex("4489")) if bytes.fromhex("4489") in matroska[:512] else -1
    assert at >= 0
    size = matroska[at + 2] & 0x7F
    return matroska[:at] + bytes([0xEC, 0x80 | (size + 1)]) + bytes(size + 1) + matroska[at + 3 + size :]


def test_joined_recordings_keep_their_times(tmp_path: Path) -> None:
    recording = Recording(seconds=2.0, options={"tune": "zerolatency"})
    whole = write_recording(tmp_path / "part.ts", recording).read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(whole + whole)
    with pytest.raises(MediaError, match="times_go_back"):
        numbers_seen(path)


def test_a_picture_that_changes_its_size_is_told(tmp_path: Path) -> None:
    small = write_recording(tmp_path / "a.ts", Recording(seconds=1.0)).read_bytes()
    large = write_recording(tmp_path / "b.ts", Recording(seconds=1.0, size=(320, 256))).read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(small + large)
    with pytest.raises(MediaError, match=r"picture_changes|times_go_back"):
        numbers_seen(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.mkv"])
def test_the_last_frames_of_a_file_are_not_left_in_the_decoder(tmp_path: Path, name: str) -> None:
    # So few packets follow the last key frame that their pictures come out together, when the decoder is flushed.
    path = write_recording(tmp_path / name, Recording(gop=12, seconds=1.12, tracks=()))
    for start in (24, 25, 26, 27):
        assert numbers_seen(path, start / 25) == list(range(start, 28))
