"""Checking an exported clip against what was seen of its source: a record must be true of the file it describes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import av
import numpy as np
import soundfile

from curation.media.colour import WRITTEN, Tags

TIME_TOLERANCE_S: Final = 0.002
"""Times of an exported frame may differ by this from the source's: one tick of a millisecond clock, and rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What of an exported file is not as it should be."""

    rule: str
    """`undecodable`, `num_frames`, `frame_times`, `untagged` or `num_samples`."""
    value: float
    expected: float


def check_video(mp4: bytes, times_s: Sequence[float]) -> Difference | None:
    """Decode an exported clip; None when it has exactly the frames of its source, and is tagged.

    Args:
        mp4: the file.
        times_s: when the source shows the frames of the span; the first is the clip's 0.
    """
    shown: list[float] = []
    try:
        with av.open(io.BytesIO(mp4)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            shown += [float(frame.time) for frame in container.decode(stream)]
            tags = Tags.of(stream.codec_context)
    except (av.error.FFmpegError, ValueError, IndexError):
        return Difference(rule="undecodable", value=float(len(shown)), expected=float(len(times_s)))
    if len(shown) != len(times_s):
        return Difference(rule="num_frames", value=float(len(shown)), expected=float(len(times_s)))
    expected = np.asarray(times_s) - times_s[0] if len(times_s) else np.zeros(0)
    apart = float(np.abs(np.asarray(shown) - expected).max(initial=0.0))
    if apart > TIME_TOLERANCE_S:
        return Difference(rule="frame_times", value=apart, expected=TIME_TOLERANCE_S)
    if tags != WRITTEN:
        return Difference(rule="untagged", value=0.0, expected=1.0)
    return None


def check_sound(wav: bytes, num_samples: int, rate_hz: int) -> Difference | None:
    """Read an exported sound's header; None when it is as long as its record says."""
    try:
        info = soundfile.info(io.BytesIO(wav))
    except soundfile.LibsndfileError:
        return Difference(rule="num_samples", value=0.0, expected=float(num_samples))
    if (info.frames, info.samplerate) != (num_samples, rate_hz):
        return Difference(rule="num_samples", value=float(info.frames), expected=float(num_samples))
    return None
