"""Sound as FFmpeg decodes it: to the sample, without gaps, at its place, from the right track, whatever changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from curation.media import (
    audio,
    probe,
    read_audio,
)
from curation.media.facts import facts_of
from tests.worlds.recordings import (
    RATE_HZ,
    Recording,
    Track,
    burst_times,
    bursts,
    delayed,
    distortion_db,
    exported_offsets_ms,
    sine,
    write_recording,
)
from tests.worlds.videos import tone, write_video

SMALL = (64, 64)
SINE = Track(samples=sine(4.4, RATE_HZ))
AC3, MP2 = Track(codec="ac3"), Track(codec="mp2")
FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"
SINE_44K = Track(rate_hz=44_100, samples=sine(4.4, 44_100))


def test_audio_is_sample_exact(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mkv", size=SMALL, seconds=2, audio_seconds=2, audio_codec="pcm_s16le"))
    whole = tone(2, 16000)
    for start, end in [(0.0, 2.0), (0.5, 1.25), (1.333, 1.9)]:
        samples, rate = read_audio(path, start, end)
        assert rate == 16000
        np.testing.assert_array_equal(samples[:, 0], whole[round(start * rate) :][: round((end - start) * rate)])


def test_audio_beyond_its_end_is_silence(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mkv", size=SMALL, seconds=2, audio_seconds=1, audio_codec="pcm_s16le"))
    samples, _ = read_audio(path, 0.5, 1.5)
    assert len(samples) == 16000
    assert np.abs(samples[8100:]).max() == 0
    assert np.abs(samples[:7900]).max() > 8000


def test_resampled_audio_has_the_span_s_length(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mkv", size=SMALL, seconds=2, audio_seconds=2, audio_codec="pcm_s16le"))
    samples, rate = read_audio(path, 0.1, 1.77, sample_rate_hz=44100)
    assert (len(samples), rate) == (round(1.67 * 44100), 44100)


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("a.mkv", Recording(tracks=(SINE,))),
        ("a.mkv", Recording(tracks=(SINE_44K,))),
        ("a.mkv", Recording(tracks=(Track(codec="pcm_s16le", rate_hz=44_100, samples=SINE_44K.samples),))),
        ("a.flv", Recording(tracks=(SINE_44K,))),
        ("a.webm", Recording(codec="libvpx", tracks=(Track(codec="libopus", samples=SINE.samples),))),
        ("a.ts", Recording(tracks=(SINE_44K,))),
        ("a.mp4", Recording(tracks=(SINE_44K,))),
        ("a.mov", Recording(tracks=(Track(codec="pcm_s16le", samples=SINE.samples),))),
        ("a.avi", Recording(tracks=(Track(codec="pcm_s16le", samples=SINE.samples),))),
    ],
    ids=["mkv AAC", "mkv AAC 44.1", "mkv PCM", "flv", "webm Opus", "ts", "mp4", "mov PCM", "avi PCM"],
)
def test_a_tone_stays_a_tone(tmp_path: Path, name: str, recording: Recording) -> None:
    path = write_recording(tmp_path / name, replace(recording, size=SMALL))
    for start_s in (0.0, 1.7):
        samples, rate_hz = read_audio(str(path), start_s, 4.0)
        assert rate_hz == recording.tracks[0].rate_hz
        # Its very beginning may belong to the encoder's start.
        inner = samples[rate_hz // 10 :, 0]
        assert distortion_db(inner, rate_hz) < -50
        assert np.diff(np.flatnonzero(inner == 0)).min(initial=9) > 1


def test_rate_and_channels_may_change_on_the_way(tmp_path: Path) -> None:
    stereo = Track(samples=np.repeat(sine(2.0, RATE_HZ), 2, axis=0), layout="stereo")
    first = write_recording(tmp_path / "a.ts", Recording(seconds=2.0, tracks=(stereo,)))
    mono = Track(rate_hz=44_100, samples=sine(2.0, 44_100))
    second = write_recording(tmp_path / "b.ts", Recording(seconds=2.0, tracks=(mono,)))
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + delayed(second, tmp_path / "c.ts", 2.0).read_bytes())
    samples, rate_hz = read_audio(str(path), 0.0, 3.9, mono=False)
    assert (rate_hz, samples.shape) == (RATE_HZ, (round(3.9 * RATE_HZ), 2))
    for begin, end in ((0.2, 1.8), (2.2, 3.8)):
        span = samples[round(begin * RATE_HZ) : round(end * RATE_HZ)]
        assert distortion_db(span[:, 0], RATE_HZ) < -45
        assert np.abs(span).max() == pytest.approx(16384, rel=0.03), "as loud as it was recorded"


@pytest.mark.parametrize(
    ("name", "recording", "start_s"),
    [
        ("a.mp4", Recording(gop=25, b_frames=2, container_options={"movflags": FRAGMENTED}), 0.0),
        ("a.mp4", Recording(gop=25, b_frames=2, container_options={"use_editlist": "0"}), 0.0),
        ("a.vob", Recording(codec="mpeg2video", gop=15, options={"b": "4M"}, b_frames=2, tracks=(AC3,)), 1.72),
        ("a.mpg", Recording(codec="mpeg1video", gop=15, options={"b": "4M"}, b_frames=2, tracks=(MP2,)), 2.6),
    ],
    ids=["fragments", "no edit list", "program stream with AC-3", "program stream with MP2"],
)
def test_one_wrong_time_moves_nothing(tmp_path: Path, name: str, recording: Recording, start_s: float) -> None:
    path = write_recording(tmp_path / name, replace(recording, seconds=6.4))
    offsets = exported_offsets_ms(path, start_s, 6.2)
    assert len(offsets) >= 3
    assert all(abs(offset) <= 0.6 for offset in offsets), offsets


@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_a_few_lost_packets_move_nothing(tmp_path: Path, name: str) -> None:
    whole = write_recording(tmp_path / "whole.mp4", Recording(seconds=6.4))
    path = delayed(whole, tmp_path / name, 0.0, kind="audio", keep=lambda number: not 80 <= number < 84)
    offsets = exported_offsets_ms(path, 0.0, 6.2)
    assert len(offsets) == 6
    assert all(abs(offset) <= 0.6 for offset in offsets), offsets


@pytest.mark.parametrize(
    ("rates_hz", "layout"),
    [((48_000, 48_000), "stereo"), ((48_000, 32_000), "stereo"), ((22_050, 48_000), "5.1")],
)
def test_sound_of_another_format_lies_at_its_own_place(tmp_path: Path, rates_hz: tuple[int, int], layout: str) -> None:
    before, after = rates_hz
    channels = 2 if layout == "stereo" else 6
    sound = Track(rate_hz=after, layout=layout, samples=np.repeat(bursts(2.0, after), channels, axis=0))
    first = write_recording(tmp_path / "a.ts", Recording(seconds=2.0, b_frames=0, tracks=(Track(rate_hz=before),)))
    second = write_recording(tmp_path / "b.ts", Recording(seconds=2.0, b_frames=0, tracks=(sound,)))
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + delayed(second, tmp_path / "c.ts", 2.0).read_bytes())
    offsets = exported_offsets_ms(path, 0.0, 3.9)
    assert len(offsets) == 4
    assert all(abs(offset) <= 0.6 for offset in offsets), offsets


@pytest.mark.parametrize(
    ("begins_ms", "anchors_ms"),
    [
        ([0, 40, 40, 40, 40, 40, 40], [(0, 40)]),
        ([40, 40, 40, 40, 40, 40, 90], [(0, 40)]),
        ([0, 0, 0, 0, 0, 0, 70, 70, 70, 70, 70], [(0, 0), (6, 70)]),
        ([0, 9, -8, 3, 9, 1, -9, 7, 7, -4, 8, -2], [(0, 2)]),
        ([index / 10 for index in range(301)], [(0, 10.1), (203, 25.1)]),
    ],
    ids=["first wrong", "last wrong", "something lost", "jitter", "slow clock"],
)
def test_where_timestamps_agree_that_sound_lies(begins_ms: list[float], anchors_ms: list[tuple[int, float]]) -> None:
    anchors = audio.anchors_of(begins_ms, 1000)
    assert [index for index, _ in anchors] == [index for index, _ in anchors_ms]
    assert [place for _, place in anchors] == pytest.approx([place for _, place in anchors_ms], abs=0.2)


def test_sound_may_begin_after_thousands_of_pictures(tmp_path: Path) -> None:
    long = Recording(seconds=110.0, size=(64, 64), options={"preset": "ultrafast"}, tracks=(Track(),))
    whole = write_recording(tmp_path / "whole.ts", long)
    path = delayed(whole, tmp_path / "a.ts", 0.0, kind="audio", keep=lambda number: number > 108 * 48_000 // 1024)
    sound = facts_of(str(path)).sound
    assert sound is not None
    assert (sound.codec, sound.rate_hz) == ("aac", RATE_HZ)


def test_the_default_track_is_heard(tmp_path: Path) -> None:
    tracks = (Track(samples=sine(4.4, RATE_HZ)), Track(disposition=Disposition.default))
    path = write_recording(tmp_path / "a.mkv", Recording(size=SMALL, tracks=tracks))
    assert probe(str(path)).audio_stream == 2
    assert len(burst_times(read_audio(str(path), 0.0, 4.4)[0][:, 0], RATE_HZ)) == 4


@pytest.mark.parametrize(
    "commentary",
    [
        Track(samples=sine(4.4, RATE_HZ), disposition=Disposition.comment),
        Track(samples=sine(4.4, RATE_HZ), disposition=Disposition.comment | Disposition.default),
        Track(samples=sine(4.4, RATE_HZ), title="Director's commentary"),
        Track(samples=sine(4.4, RATE_HZ), disposition=Disposition.visual_impaired),
        Track(samples=np.repeat(sine(4.4, RATE_HZ), 2, axis=0), layout="stereo", title="Audio description"),
    ],
    ids=["comment", "comment by default", "by title", "for the blind", "description"],
)
def test_a_commentary_is_never_heard(tmp_path: Path, commentary: Track) -> None:
    path = write_recording(tmp_path / "a.mkv", Recording(size=SMALL, seconds=1.0, tracks=(commentary, Track())))
    assert probe(str(path)).audio_stream == 2
    alone = write_recording(tmp_path / "b.mkv", Recording(size=SMALL, seconds=1.0, tracks=(commentary,)))
    info = probe(str(alone))
    assert info.audio_codec is None
    assert info.audio_undecodable


def test_a_track_that_cannot_be_decoded_is_passed_over(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mp4", Recording(tracks=(Track(samples=sine(4.4, RATE_HZ)), Track())))
    # A codec that nobody knows, as newer telephones write beside AAC.
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"apac", 1).replace(b"esds", b"free", 1))
    assert probe(str(path)).audio_stream == 2
    assert all(abs(offset) < 0.6 for offset in exported_offsets_ms(path, 0.0, 4.4))


def test_a_track_of_rubbish_is_passed_over(tmp_path: Path) -> None:
    good = write_recording(tmp_path / "good.mkv", Recording(size=SMALL, tracks=(Track(codec="ac3"), Track())))
    path = tmp_path / "a.mkv"
    noise = np.random.default_rng(0)
    with av.open(str(good)) as source, av.open(str(path), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if not packet.size:
                continue
            copy = av.Packet(noise.bytes(packet.size)) if packet.stream.index == 1 else packet
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe = packet.is_keyframe
            copy.stream = streams[packet.stream.index]
            target.mux(copy)
    assert probe(str(path)).audio_stream == 2


def test_surround_and_antiphase_are_heard(tmp_path: Path) -> None:
    # Speech of films lies in the centre, the third of six channels.
    centre = np.zeros((6, round(2 * RATE_HZ)), np.float32)
    centre[2] = bursts(2.0, RATE_HZ)[0]
    path = write_recording(
        tmp_path / "a.mkv", Recording(seconds=2.0, tracks=(Track(codec="pcm_s16le", layout="5.1", samples=centre),))
    )
    samples, _ = read_audio(str(path), 0.0, 2.0)
    loudest = float(np.abs(centre).max())
    assert np.abs(samples).max() / 32768 == pytest.approx(loudest * 0.2929, rel=0.02), "FFmpeg's downmix, unclipped"
    tone = sine(2.0, RATE_HZ)
    path = write_recording(
        tmp_path / "b.mkv",
        Recording(
            seconds=2.0, tracks=(Track(codec="pcm_s16le", layout="stereo", samples=np.concatenate([tone, -tone])),)
        ),
    )
    samples, _ = read_audio(str(path), 0.0, 2.0)
    assert np.abs(samples).max() / 32768 == pytest.approx(0.5, rel=0.01)
