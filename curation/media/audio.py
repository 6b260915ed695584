"""Reading sound sample-exactly on the video's timeline.

Timestamps of sound are rounded (to a millisecond in Matroska, FLV and WebM), and the first ones after a seek may be
wrong, so a single timestamp is not reliable. Samples are counted, and placed where several timestamps agree.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import av
import numpy as np
import numpy.typing as npt
import soxr

from curation.media.facts import Facts, facts_of
from curation.media.streams import RATES_HZ, SoundTrack, open_media, packets_of

PREROLL_S: Final = 0.5
"""Decoded before the span and thrown away: lossy codecs need a few packets to settle after a seek."""
_STEPS_BACK_S: Final = (0.0, 5.0, 60.0)
"""How much further back a seek is tried when it lands after the span's start; then the file is read from its
beginning."""
_GAP_S: Final = 0.1
"""A timestamp that differs by more than this from the counted time means that sound is missing; FFmpeg's own bound.
Below it lie rounding, the jitter of live recordings, and times that a demuxer works out from an old sample rate."""
_SHIFT_S: Final = 0.005
"""Several consecutive timestamps that differ by more than this, and by the same, also mean that sound is missing: a
packet or two, or the end of a recording that another one was joined to. Jitter differs from one to the next."""
_AGREEMENT_S: Final = 0.002
"""Timestamps that agree differ by less than this: rounding to a millisecond."""
_AGREEING: Final = 5
"""Timestamps that have to agree."""
_LAST_AGREEING: Final = 3
"""Timestamps that have to agree at the end of a stretch."""
_DRIFT_S: Final = 0.02
"""How far samples may drift from a clock that runs slower before they are placed anew: half a frame."""
_ROUNDED_TICKS: Final = 2
"""How far a packet's length in ticks may be off because it is a whole number."""
CANCELLED: Final = 0.1
"""Channels whose mean is quieter than this share of the loudest of them cancel each other out."""

Samples = npt.NDArray[np.int16]


def read_audio(
    path: str, start_s: float, end_s: float, *, sample_rate_hz: int | None = None, mono: bool = True
) -> tuple[Samples, int]:
    """The sound of a span as `(samples, rate)`, samples `(N, channels)`, N = round((end − start) · rate).

    The samples are those of the source at its own rate unless `sample_rate_hz` is given; where rate or channels change
    on the way, they are converted to what the track begins with. Where the source has no sound (before its audio
    begins, after it ends, at lost packets) there are zeros. More than two channels become two by FFmpeg's downmix,
    scaled so that it cannot clip; with `mono` two become their mean, or the louder one where they cancel each other.

    Raises:
        MediaError: the file cannot be opened.
        ValueError: it has no audio stream that can be decoded.
    """
    facts = facts_of(path)
    if facts.sound is None:
        raise ValueError(f"{path} has no audio stream{' that can be decoded' if facts.has_sound_tracks else ''}")
    rate, stretches = facts.sound.rate_hz, _decode(path, facts, start_s, end_s)
    samples = np.zeros((num_samples(start_s, end_s, rate), min(facts.sound.channels, 2)), np.int16)
    first = round((start_s + facts.origin_s) * rate)
    for stretch in stretches:
        stretch.place(samples, first)
    if mono:
        samples = to_mono(samples)
    if sample_rate_hz is not None and sample_rate_hz != rate:
        resampled = soxr.resample(samples.astype(np.float32), rate, sample_rate_hz)
        samples = _fit(np.clip(np.round(resampled), -32768, 32767).astype(np.int16), start_s, end_s, sample_rate_hz)
        rate = sample_rate_hz
    return samples, rate


def num_samples(start_s: float, end_s: float, rate: int) -> int:
    """How many samples a span has."""
    return round((end_s - start_s) * rate)


def to_mono(samples: Samples) -> Samples:
    """`(N, channels)` → `(N, 1)`: the mean, or the loudest channel where that cancels out."""
    if samples.shape[1] == 1:
        return samples
    values = samples.astype(np.float32)
    mean = values.mean(axis=1, keepdims=True)
    loudness = np.sqrt((values**2).mean(axis=0))
    if len(values) and np.sqrt((mean**2).mean()) < CANCELLED * loudness.max():
        return samples[:, [int(loudness.argmax())]]
    return np.asarray(np.round(mean), np.int16)


@dataclass(slots=True)
class _Stretch:
    """Sound of one format, decoded without interruption."""

    rate: int
    counted: Fraction | int = 0
    """Samples so far, at `rate`."""
    stamped: list[float] = field(default_factory=list)
    """For each timestamp: how many samples of the stretch lie before it."""
    begins: list[float] = field(default_factory=list)
    """For each timestamp: where it says that the stretch begins, in samples on the container's clock."""
    blocks: list[Samples] = field(default_factory=list)
    """The samples, `(N, channels)` each."""

    def stamp(self, place: float) -> None:
        """Note a timestamp of what comes next, in samples."""
        self.stamped.append(float(self.counted))
        self.begins.append(place - float(self.counted))

    def lies_apart(self, place: float) -> bool:
        """Whether a timestamp says that sound is missing before it (`_GAP_S`)."""
        recent = self.begins[-_AGREEING:]
        return not recent or abs(place - float(self.counted) - _median(recent)) > _GAP_S * self.rate

    def place(self, samples: Samples, first: int) -> None:
        """Write the part that falls into `samples`; the first of these is number `first` on the container's clock."""
        if not self.begins or not self.blocks:
            return
        values = np.concatenate(self.blocks)
        anchors = anchors_of(self.begins, self.rate)
        edges = [0, *(round(self.stamped[index]) for index, _ in anchors[1:]), len(values)]
        for (_, begin), (start, end) in zip(anchors, itertools.pairwise(edges), strict=True):
            at = round(begin + start) - first
            low, high = max(at, 0), min(at + end - start, len(samples))
            if low < high:
                samples[low:high] = values[start + low - at : start + high - at]


def anchors_of(begins: Sequence[float], rate: int) -> list[tuple[int, float]]:
    """Where a stretch lies: pairs of a timestamp's index and where the stretch begins from then on, in samples.

    `begins` is where each timestamp says that the stretch begins.
    """
    edges, level = [0], _median(begins[:_AGREEING])
    for index in range(1, len(begins) - _LAST_AGREEING + 1):
        if abs(begins[index] - level) <= _SHIFT_S * rate:
            continue
        ahead = begins[index : index + _AGREEING]
        recent = _median(begins[max(edges[-1], index - _AGREEING) : max(edges[-1] + _AGREEING, index)])
        shifted = abs(ahead[0] - recent) > _SHIFT_S * rate or abs(ahead[0] - level) > _DRIFT_S * rate
        if shifted and max(ahead) - min(ahead) <= _AGREEMENT_S * rate:
            edges.append(index)
            level = _median(ahead)
    return [(start, _median(begins[start:end])) for start, end in itertools.pairwise([*edges, len(begins)])]


def _median(values: Sequence[float]) -> float:
    """The median of few values, for which numpy takes longer than for many: it is asked for at every packet."""
    return statistics.median(values)


class _Assembly:
    """Puts decoded frames into stretches."""

    def __init__(self, stream: av.audio.stream.AudioStream, track: SoundTrack) -> None:
        self.rate = track.rate_hz
        self.time_base = Fraction(stream.time_base)
        # Whole numbers are computed with several times as fast as fractions.
        self.rate_base = self.time_base * self.rate
        self.channels = min(track.channels, 2)
        self.stretches: list[_Stretch] = []
        self._form: tuple[int, str, str] | None = None
        self._resampler: av.AudioResampler | None = None
        self._last: av.audio.frame.AudioFrame | None = None

    def add(self, frame: av.audio.frame.AudioFrame, *, interrupted: bool) -> None:
        """Take in the next frame; `interrupted` when something between it and the last one was lost."""
        told = frame.pts is not None and not self._reckoned(frame)
        place = frame.pts * self.rate_base.numerator / self.rate_base.denominator if told else None
        form = (frame.sample_rate, frame.layout.name, frame.format.name)
        last = self.stretches[-1] if self.stretches else None
        apart = last is None or (place is not None and (interrupted or last.lies_apart(place)))
        if apart or self._resampler is None or form != self._form:
            self.flush()
            self._form = form
            self._resampler = av.AudioResampler(
                format="s16", layout="mono" if frame.layout.nb_channels == 1 else "stereo", rate=self.rate
            )
            self.stretches.append(_Stretch(self.rate))
            if place is None and last is not None and last.begins:
                place = last.begins[-1] + float(last.counted)
        stretch = self.stretches[-1]
        if place is not None:
            stretch.stamp(place)
        self._last = frame
        same_rate = frame.sample_rate == self.rate
        stretch.counted += frame.samples if same_rate else Fraction(frame.samples * self.rate, frame.sample_rate)
        self._append(frame)

    def _reckoned(self, frame: av.audio.frame.AudioFrame) -> bool:
        """Whether a demuxer worked out a frame's time from that of the last frame, whose length it did not know.

        Where the sample rate changes on the way, a demuxer goes on with the old rate until the file gives a time again.
        """
        last = self._last
        if last is None or last.pts is None or frame.pts is None or not last.duration:
            return False
        if abs(frame.pts - last.pts - last.duration) > _ROUNDED_TICKS:
            return False
        length = last.samples * self.time_base.denominator / (last.sample_rate * self.time_base.numerator)
        return bool(abs(last.duration - length) > _ROUNDED_TICKS)

    def flush(self) -> None:
        """Take out what the resampler still holds."""
        if self._resampler is not None:
            self._append(None)
        self._resampler = None

    def _append(self, decoded: av.audio.frame.AudioFrame | None) -> None:
        """Convert a frame, or what is left of the last ones; where that is impossible there is silence."""
        assert self._resampler is not None
        try:
            converted = self._resampler.resample(decoded)
        except (av.error.FFmpegError, ValueError):
            self._resampler = None
            return
        for frame in converted:
            values = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
            # FFmpeg makes one channel 3 dB quieter when it turns it into two; a copy is as loud as it was.
            if values.shape[1] < self.channels:
                values = np.repeat(values, self.channels, axis=1)
            self.stretches[-1].blocks.append(values if self.channels > 1 else to_mono(values))


def _decode(path: str, facts: Facts, start_s: float, end_s: float) -> list[_Stretch]:
    """The stretches of sound from before the span to its end."""
    track = facts.sound
    assert track is not None
    for step_s in _STEPS_BACK_S if start_s > PREROLL_S else ():
        with open_media(path) as container:
            stream = container.streams[track.index]
            at = int((Fraction(start_s - PREROLL_S - step_s) + facts.origin_s) / stream.time_base)
            try:
                container.seek(at, stream=stream)
            except (av.error.FFmpegError, ValueError):
                continue
            stretches = _stretches(container, track, facts.origin_s, start_s, end_s)
            if stretches is not None:
                return stretches
    with open_media(path) as container:
        return _stretches(container, track, facts.origin_s, None, end_s) or []


def _stretches(
    container: av.container.InputContainer, track: SoundTrack, origin_s: Fraction, start_s: float | None, end_s: float
) -> list[_Stretch] | None:
    """What is decoded from here to the end of the span; None when it begins only after `start_s`."""
    stream = container.streams[track.index]
    # Seconds after the first picture are (pts · ticks − begin) / parts.
    parts = math.lcm(Fraction(stream.time_base).denominator, origin_s.denominator)
    ticks, begin = int(stream.time_base * parts), int(origin_s * parts)
    assembly, interrupted = _Assembly(stream, track), False
    for frames in _decoded(container, stream):
        if frames is None:
            interrupted = True
            continue
        for frame in frames:
            if frame.sample_rate not in RATES_HZ:
                interrupted = True
                continue
            time_s = None if frame.pts is None else (frame.pts * ticks - begin) / parts
            if not assembly.stretches and start_s is not None and (time_s is None or time_s > start_s):
                return None
            # Read a little further, because the time may be wrong.
            if time_s is not None and time_s >= end_s + PREROLL_S:
                assembly.flush()
                return assembly.stretches
            assembly.add(frame, interrupted=interrupted)
            interrupted = False
    assembly.flush()
    return assembly.stretches or None


def _decoded(
    container: av.container.InputContainer, stream: av.audio.stream.AudioStream
) -> Iterator[list[av.audio.frame.AudioFrame] | None]:
    """Frames packet by packet; None for a packet that cannot be decoded."""
    packets = packets_of(container, stream)
    while True:
        try:
            yield next(packets).decode()
        except (StopIteration, av.error.EOFError, EOFError):
            return
        except (av.error.FFmpegError, ValueError):
            yield None


def _fit(samples: Samples, start_s: float, end_s: float, rate: int) -> Samples:
    """Trim or zero-pad by the sample or so that resampling rounds away."""
    total = num_samples(start_s, end_s, rate)
    missing = max(0, total - len(samples))
    return np.pad(samples[:total], ((0, missing), (0, 0)))
