"""The sound that goes with a video: its own, or a wav that replaces it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from bench.metrics.metric import NoValueError, VideoInput
from bench.metrics.timing import length_s
from curation.media import probe, read_audio

SILENT_PEAK = 8
"""Of 32768 (-72 dB). A track that never gets louder counts as silent: dither and codec noise stay below."""


def hear(
    video: VideoInput, sample_rate_hz: int, *, start_s: float = 0.0, end_s: float | None = None
) -> npt.NDArray[np.int16]:
    """A span of the sound, `(N,)` mono, N = round((end − start) · rate); zeros where there is none.

    The end is the video's by default: sound that goes on after the last frame is cut off.

    Raises:
        NoValueError: there is no sound, it cannot be read, or it is silent throughout.
        MediaError: the video cannot be opened.
    """
    end_s = length_s(video.path) if end_s is None else end_s
    if video.audio is not None:
        samples = _read_wav(video, sample_rate_hz, start_s, end_s)
    elif probe(str(video.path)).audio_codec is None:
        raise NoValueError("no sound")
    else:
        samples = read_audio(str(video.path), start_s, end_s, sample_rate_hz=sample_rate_hz)[0][:, 0]
    if not len(samples):
        raise NoValueError("too short")
    if _peak(samples) <= SILENT_PEAK:
        raise NoValueError("silent")
    return samples


def _peak(samples: npt.NDArray[np.int16]) -> int:
    return int(np.abs(samples.astype(np.int32)).max(initial=0))


def _read_wav(video: VideoInput, sample_rate_hz: int, start_s: float, end_s: float) -> npt.NDArray[np.int16]:
    try:
        samples, rate = soundfile.read(str(video.audio), dtype="int16", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise NoValueError("unreadable sound", message=str(error)) from error
    mono = samples.astype(np.float32).mean(1)
    if len(samples) and np.abs(mono).max() <= SILENT_PEAK:
        # Channels in antiphase cancel each other in the mean, but people hear them: take the loudest channel.
        mono = samples[:, np.abs(samples.astype(np.int32)).max(0).argmax()].astype(np.float32)
    if rate != sample_rate_hz:
        mono = soxr.resample(mono, rate, sample_rate_hz)
    first, stop = round(start_s * sample_rate_hz), round(end_s * sample_rate_hz)
    padded = np.pad(mono, (max(0, -first), max(0, stop - len(mono))))
    span = padded[max(first, 0) : max(first, 0) + stop - first]
    return np.clip(np.round(span), -32768, 32767).astype(np.int16)
