"""Small curated runs with known content."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import soundfile
from av.video.frame import VideoFrame

from curation.clip.caption import Caption
from curation.clip.schema import Clip, Media, Payload, Pool, Shot, Source, VideoInfo
from tests.worlds.synthetic_run import write_run

RATE_HZ = 48_000
Paint = Callable[[int], npt.NDArray[np.uint8]]
"""A frame (H, W, 3) RGB by its number."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A clip to be put into a run."""

    mp4: bytes
    num_frames: int
    size: tuple[int, int] = (192, 128)
    wav: bytes | None = None
    shot: Shot = Shot(start_s=0.0, end_s=60.0)
    parent_key: str | None = None
    kept: bool = True
    brief: str = "A grey field."
    detailed: str = "A grey field that flashes once."


def video(paint: Paint, num_frames: int, *, fps: int = 25, times_s: Sequence[float] | None = None) -> bytes:
    sink = io.BytesIO()
    times = times_s or [index / fps for index in range(num_frames)]
    with av.open(sink, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=fps, options={"crf": "10"})
        height, width = paint(0).shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 12800)
        for index, time_s in enumerate(times):
            frame = VideoFrame.from_ndarray(paint(index), format="rgb24")
            frame.pts, frame.time_base = round(time_s * 12800), Fraction(1, 12800)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return sink.getvalue()


def flat(level: int, size: tuple[int, int] = (192, 128)) -> Paint:
    width, height = size
    return lambda _: np.full((height, width, 3), level, np.uint8)


def click(at_s: float, seconds: float, *, channels: int = 2) -> bytes:
    """Silence, except for 5 ms of noise."""
    samples = np.zeros((round(seconds * RATE_HZ), channels), np.float32)
    first = round(at_s * RATE_HZ)
    samples[first : first + RATE_HZ // 200] = np.random.default_rng(0).uniform(-0.9, 0.9, (RATE_HZ // 200, 1))
    sink = io.BytesIO()
    soundfile.write(sink, samples, RATE_HZ, format="WAV", subtype="PCM_16")
    return sink.getvalue()


def source_of(uri: str, clips: Sequence[Made], pool: Pool = Pool.HUMAN) -> Source:
    info = VideoInfo(
        width=192, height=128, fps=25.0, duration_s=60.0, codec="h264", pixel_format="yuv420p", rotation_deg=0,
        sample_aspect_ratio=1.0, audio_codec="aac", audio_rate_hz=RATE_HZ, audio_channels=2,
    )  # fmt: skip
    media = Media(path="/nowhere.mp4", info=info)
    unit = Source(uri=uri, media=media, pool=pool)
    return replace(unit, clips=tuple(_clip(unit, index, made) for index, made in enumerate(clips)))


def _clip(unit: Source, index: int, made: Made) -> Clip:
    assert unit.media is not None
    info = replace(unit.media.info, width=made.size[0], height=made.size[1])
    clip = Clip(
        key=unit.clip_key(index),
        source=unit.uri,
        media=replace(unit.media, info=info),
        pool=unit.pool,
        shot=made.shot,
        start_s=5.0 * index,
        end_s=5.0 * index + made.num_frames / 25,
        parent_key=made.parent_key,
        caption=Caption(brief=made.brief, detailed=made.detailed) if made.brief else None,
    )
    if not made.kept:
        return clip.reject("faces", "presence", 0.1, 0.5)
    payload = Payload(
        mp4=made.mp4, wav=made.wav, num_frames=made.num_frames, num_audio_samples=0, audio_rate_hz=RATE_HZ,
        stream_copied=False,
    )  # fmt: skip
    return replace(clip, payload=payload)


def curate(run: str, *sources: Source) -> list[str]:
    """Commit the sources, a shard each; returns the shards' names."""
    return [name for source in sources for name in write_run(run, [source])]
