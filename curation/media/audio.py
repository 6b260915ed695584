"""Reading sound sample-exactly on the video's timeline."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import soxr

from curation.media.frames import stream_origin
from curation.media.probe import open_video, video_stream

PREROLL_S = 0.5
"""Decoded before the span and thrown away: lossy codecs need a few packets to settle after a seek."""


def read_audio(
    path: str, start_s: float, end_s: float, *, sample_rate_hz: int | None = None, mono: bool = True
) -> tuple[npt.NDArray[np.int16], int]:
    """The sound of a span as `(samples, rate)`, samples `(N, channels)`, N = round((end − start) · rate).

    The samples are those of the source at its own rate unless `sample_rate_hz` is given. Where the source
    has no sound (before its audio begins, after it ends) there are zeros. More than two channels become two.

    Raises:
        MediaError: the file cannot be opened.
        ValueError: it has no audio stream.
    """
    with open_video(path) as container:
        if not container.streams.audio:
            raise ValueError(f"{path} has no audio stream")
        stream = container.streams.audio[0]
        rate = stream.codec_context.sample_rate
        layout = "mono" if mono or stream.codec_context.channels == 1 else "stereo"
        samples = _collect(container, stream, layout, start_s, end_s)
    if sample_rate_hz is not None and sample_rate_hz != rate:
        resampled = soxr.resample(samples.astype(np.float32), rate, sample_rate_hz)
        samples = _fit(np.clip(np.round(resampled), -32768, 32767).astype(np.int16), start_s, end_s, sample_rate_hz)
        rate = sample_rate_hz
    return samples, rate


def num_samples(start_s: float, end_s: float, rate: int) -> int:
    """How many samples a span has."""
    return round((end_s - start_s) * rate)


def _collect(
    container: av.container.InputContainer,
    stream: av.audio.stream.AudioStream,
    layout: str,
    start_s: float,
    end_s: float,
) -> npt.NDArray[np.int16]:
    """Place every decoded sample of the span at its index; undecodable packets leave silence."""
    rate = stream.codec_context.sample_rate
    origin = stream_origin(video_stream(container))
    first = round((start_s + float(origin)) * rate)
    total = num_samples(start_s, end_s, rate)
    out = np.zeros((total, 1 if layout == "mono" else 2), np.int16)
    resampler = av.AudioResampler(format="s16", layout=layout, rate=rate)
    if start_s > PREROLL_S:
        container.seek(int((Fraction(start_s - PREROLL_S) + origin) / stream.time_base), stream=stream)
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            continue
        for frame in frames:
            if frame.pts is None:
                continue
            begin = round(float(frame.pts * frame.time_base) * rate) - first
            if begin >= total:
                return out
            for part in resampler.resample(frame):
                values = part.to_ndarray().reshape(-1, out.shape[1])
                lo, hi = max(begin, 0), min(begin + len(values), total)
                if lo < hi:
                    out[lo:hi] = values[lo - begin : hi - begin]
                begin += len(values)
    return out


def _fit(samples: npt.NDArray[np.int16], start_s: float, end_s: float, rate: int) -> npt.NDArray[np.int16]:
    """Trim or zero-pad by the sample or so that resampling rounds away."""
    total = num_samples(start_s, end_s, rate)
    missing = max(0, total - len(samples))
    return np.pad(samples[:total], ((0, missing), (0, 0)))
