"""Kept clips get their files, as configured; a clip whose file is not what was seen is rejected."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import av
import numpy as np
import pytest
import soundfile

from curation.clip.observations import Box, FrameStats
from curation.clip.schema import Clip, Decision, Media, Pool, Shot, Source
from curation.media import probe, read_audio
from curation.stages.export import Export, ExportConfig
from tests.worlds.recordings import FPS, Recording, Track, write_recording

LEFT = Box(x0=0.0, y0=0.0, x1=0.5, y1=1.0)
NOISE = np.random.default_rng(5).uniform(-0.5, 0.5, (2, 48_000)).astype(np.float32)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    """One second of 25 frames with stereo sound."""
    recording = Recording(seconds=1.0, size=(160, 128), tracks=(Track(layout="stereo", samples=NOISE),))
    path = str(write_recording(tmp_path_factory.mktemp("export") / "a.mp4", recording))
    return Media(path=path, info=probe(path))


def clip_of(
    media: Media, start_s: float = 0.2, end_s: float = 0.6, *, times_s: Sequence[float] | None = None, name: str = "a"
) -> Clip:
    """A span as the stages before leave it; `times_s` is when its frames were seen."""
    frames = range(round(start_s * FPS), round(end_s * FPS))
    times = np.array([frame / FPS for frame in frames] if times_s is None else times_s)
    nothing = np.zeros(len(times), np.float32)
    return Clip(
        key=name,
        source="a.mp4",
        media=media,
        pool=Pool.HUMAN,
        shot=Shot(start_s=0.0, end_s=1.0),
        start_s=start_s,
        end_s=end_s,
        stats=FrameStats(times_s=times, luma_mean=nothing, luma_std=nothing, change=nothing),
    )


def exported(*clips: Clip, config: ExportConfig | None = None) -> tuple[Clip, ...]:
    source = Source(uri="a.mp4", media=clips[0].media, clips=clips)
    return Export(config or ExportConfig())(source).clips


@pytest.mark.parametrize(
    ("config", "written"),
    [
        (ExportConfig(), {b"crf=18.0", b"subme=2"}),
        (ExportConfig(crf=40), {b"crf=40.0", b"subme=2"}),
        (ExportConfig(preset="ultrafast"), {b"crf=18.0", b"subme=0"}),
        (ExportConfig(audio_rate_hz=16_000), {b"crf=18.0", b"subme=2"}),
    ],
)
def test_a_payload_is_the_span_and_the_crop_as_configured(
    media: Media, config: ExportConfig, written: set[bytes]
) -> None:
    clip = replace(clip_of(media), crop=LEFT)
    (done,) = exported(clip, config=config)
    rate = config.audio_rate_hz or 48_000
    assert done.payload is not None
    assert done.payload.wav is not None
    payload = replace(
        done.payload, num_frames=10, num_audio_samples=round(0.4 * rate), audio_rate_hz=rate, stream_copied=False
    )
    assert done == replace(clip, payload=payload)
    # x264 writes its options into the stream; `subme` follows from the preset.
    assert written <= set(payload.mp4.split())
    with av.open(io.BytesIO(payload.mp4)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (80, 128)
    samples, _ = read_audio(media.path, 0.2, 0.6, sample_rate_hz=config.audio_rate_hz, mono=False)
    stored, stored_rate = soundfile.read(io.BytesIO(done.payload.wav), dtype="int16")
    assert stored_rate == rate
    assert stored.shape == (round(0.4 * rate), 2)
    assert np.array_equal(stored, samples)
    info = soundfile.info(io.BytesIO(done.payload.wav))
    assert (info.format, info.subtype) == ("WAV", "PCM_16")


def test_a_span_that_needs_no_encoding_is_copied(media: Media) -> None:
    (done,) = exported(clip_of(media, 0.0, 1.0))
    assert done.payload is not None
    assert done.payload.stream_copied is True


def test_a_clip_whose_sound_was_dropped_has_none(media: Media) -> None:
    clip = clip_of(media).drop_audio("sync", "persistent_mismatch")
    (done,) = exported(clip)
    assert done.payload is not None
    assert done == replace(
        clip,
        payload=replace(done.payload, wav=None, num_frames=10, num_audio_samples=0, audio_rate_hz=0),
    )


def test_only_kept_clips_get_files_and_all_keep_their_places(media: Media) -> None:
    rejected = clip_of(media, name="b").reject("quality", "sharpness", 1.0, 2.0)
    clips = clip_of(media, name="a"), rejected, clip_of(media, 0.6, 0.8, name="c")
    done = exported(*clips)
    assert [clip.key for clip in done] == ["a", "b", "c"]
    assert [clip.payload.num_frames if clip.payload else None for clip in done] == [10, None, 5]
    assert done[1] == rejected


TIMES = [frame / FPS for frame in range(5, 15)]


@pytest.mark.parametrize("sound", [True, False])
@pytest.mark.parametrize(
    ("span", "times_s", "rule", "value", "threshold"),
    [
        # No frame where three were seen.
        ((5.0, 5.12), [5.0, 5.04, 5.08], "num_frames", 0.0, 3.0),
        ((0.2, 0.6), TIMES[:-1], "num_frames", 10.0, 9.0),
        ((0.2, 0.6), [*TIMES, 0.6], "num_frames", 10.0, 11.0),
        # The last frame was seen 0.02 s later; 0.002 s are allowed.
        ((0.2, 0.6), [*TIMES[:-1], TIMES[-1] + 0.02], "frame_times", 0.02, 0.002),
    ],
)
def test_what_differs_from_what_was_seen_is_rejected(
    media: Media,
    *,
    span: tuple[float, float],
    times_s: list[float],
    rule: str,
    value: float,
    threshold: float,
    sound: bool,
) -> None:
    clip = clip_of(media, *span, times_s=times_s)
    clip = clip if sound else clip.drop_audio("sync", "persistent_mismatch")
    (done,) = exported(clip)
    assert done.rejection is not None
    assert done.rejection.value == pytest.approx(value, abs=1e-6)
    rejection = Decision(stage="export", rule=rule, value=done.rejection.value, threshold=threshold)
    assert done == replace(clip, rejection=rejection)
