"""Clips of made recordings: who is seen, and how it goes on, come from seeds; copies are changed in a known way."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import soundfile

from curation.clip.observations import FrameStats, Keyframe
from curation.clip.schema import Clip, Source
from tests.worlds.synthetic_run import clip, export, source

FPS, RATE_HZ = 25.0, 8000
Picture = npt.NDArray[np.uint8]


def scene(seed: int) -> Picture:
    """`(270, 480, 3)`: coarse blobs, as different between seeds as two rooms."""
    noise = np.random.default_rng(seed).integers(40, 220, (9, 16, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (480, 270), interpolation=cv2.INTER_CUBIC), np.uint8)


def course(seed: int, start_s: float, end_s: float) -> FrameStats:
    """What the scene pass measures of a stretch of a recording of two minutes."""
    random = np.random.default_rng(seed)
    count = int(120 * FPS)
    smooth = np.hanning(7) / np.hanning(7).sum()
    moved, bright, spread = (np.convolve(random.standard_normal(count), smooth, "same") for _ in range(3))
    times_s = np.arange(count) / FPS
    whole = FrameStats(
        times_s=times_s,
        luma_mean=(120 + 2 * bright).astype(np.float32),
        luma_std=(50 + 2 * spread).astype(np.float32),
        change=np.exp(0.8 * moved).astype(np.float32),
    )
    return whole.between(start_s, end_s)


def sound(seed: int, start_s: float, end_s: float) -> bytes:
    """The same stretch of the recording's sound, as a wav."""
    random = np.random.default_rng(1000 + seed)
    loud = np.repeat(np.exp(random.standard_normal(1200)), RATE_HZ // 10)
    samples = loud * random.standard_normal(len(loud)) * 300
    part = samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    sink = io.BytesIO()
    soundfile.write(sink, np.clip(part, -32000, 32000).astype(np.int16), RATE_HZ, format="WAV", subtype="PCM_16")
    return sink.getvalue()


def recorded(
    unit: Source,
    index: int,
    seed: int,
    start_s: float,
    *,
    picture: Picture | None = None,
    mp4: bytes | None = None,
    noise: float = 0.0,
    with_sound: bool = True,
    seconds: float = 4.5,
    **changes: object,
) -> Clip:
    """A clip of a made recording.

    Args:
        unit: the file it lies in.
        index: number of the clip in it.
        seed: of the recording.
        start_s: where in the recording the clip begins.
        picture: what is seen; the recording's own scene without it.
        mp4: its exported file; of its own without it.
        noise: added to the course, as a deviation.
        with_sound: whether it has its sound.
        seconds: its length.
        changes: of other fields of the clip.
    """
    shown = scene(seed) if picture is None else picture
    ok, jpeg = cv2.imencode(".jpg", shown)
    assert ok
    stats = course(seed, start_s, start_s + seconds)
    made = clip(unit, index, seconds)
    random = np.random.default_rng(len(unit.uri) + index)
    stats = replace(
        stats,
        times_s=stats.times_s - stats.times_s[0] + made.start_s,
        change=stats.change * np.exp(noise * random.standard_normal(len(stats.change))).astype(np.float32),
    )
    keyframes = tuple(Keyframe(time_s=made.start_s + 0.5 * n, jpeg=jpeg.tobytes()) for n in range(int(2 * seconds)))
    made = export(replace(made, keyframes=keyframes, stats=stats, **changes))  # type: ignore[arg-type]
    payload = made.payload
    assert payload is not None
    wav = sound(seed, start_s, start_s + seconds) if with_sound else None
    content = mp4 or f"{unit.uri}-{index}".encode()
    made = replace(made, payload=replace(payload, mp4=content, wav=wav))
    return made if with_sound else made.drop_audio("sync", "persistent_mismatch")


def unit(name: str, width: int = 1280, height: int = 720) -> Source:
    """A file of a minute."""
    return source(f"/in/{name}.mp4", width, height, 60.0)
