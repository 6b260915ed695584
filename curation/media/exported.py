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
    """Read an exported clip back; None when it has exactly the frames of its source, and is tagged.

    The times are those of its packets, and its key frames are decoded: that tells a file that cannot be played from one
    that can. Decoding all of it would only test FFmpeg's decoder on what its encoder has just made in this process.

    Args:
        mp4: the file.
        times_s: when the source shows the frames of the span; the first is the clip's 0.
    """
    shown: list[float] = []
    try:
        with av.open(io.BytesIO(mp4)) as container:
            stream = container.streams.video[0]
            stream.codec_context.skip_frame = "NONKEY"
            num_key_frames = 0
            for packet in container.demux(stream):
                if packet.pts is not None and not packet.is_discard:
                    shown.append(float(packet.pts * stream.time_base))
                num_key_frames += len(packet.decode()) if packet.is_keyframe or not packet.size else 0
            tags = Tags.of(stream.codec_context)
        shown.sort()
    except (av.error.FFmpegError, ValueError, IndexError):
        return Difference(rule="undecodable", value=float(len(shown)), expected=float(len(times_s)))
    if len(shown) != len(times_s):
        return Difference(rule="num_frames", value=float(len(shown)), expected=float(len(times_s)))
    if shown and not num_key_frames:
        return Difference(rule="undecodable", value=0.0, expected=float(len(times_s)))
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
