"""Sound files: choosing the track, reading it even if its format changes on the way, and mixing its channels.

One reader serves what the network hears (`model.codecs.audio`) and what is laid under the video (`model.media.video`),
so that both have the same samples. The track's first sample is at 0 s and the others are counted from it. They are
never placed by the timestamps of packets, which containers round.

Letters: N samples, C channels.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import groupby, islice
from math import ceil
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.stream import Disposition

from model.media.joined import is_joined

RATES_HZ: Final = range(2_000, 768_001)
"""Sample rates that are accepted; a damaged header that says 1 Hz would make hours of a few kilobytes."""

SILENCE_PEAK: Final = 1e-4
"""−80 dBFS: below the noise of a 16-bit recording with the microphone off."""

_NOT_SPEECH: Final = (
    *(Disposition.comment, Disposition.descriptions, Disposition.visual_impaired, Disposition.hearing_impaired),
    *(Disposition.karaoke, Disposition.clean_effects, Disposition.non_diegetic, Disposition.dependent),
)
_COMMENTARY_TITLE: Final = re.compile(r"comment|kommentar|comentari|audio.?descri|described", re.IGNORECASE)
"""Tracks that are never taken: commentaries, descriptions of the picture, mixes for the hard of hearing. The reader of
curation has the same rules; `tests/worlds/media_table.py` tests both."""

_PLAYLISTS: Final = frozenset({"hls", "applehttp", "concat", "dash", "sdp", "rtsp", "imf"})
"""Formats that only name other files; nobody has asked for those to be read."""

_PROBED_PACKETS: Final = 100
"""Packets (two seconds or so) by which it is judged whether a track can be decoded."""

_CANCELLED: Final = 0.01
"""Ratio of the mix's energy to the loudest channel's (−20 dB) below which the channels have cancelled out.

FFmpeg's own mixes of sound in a single channel lie above it: the faintest is a back channel of 7.1, at −19 dB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundFormat:
    """The format of a decoded piece of sound."""

    rate_hz: int
    """Samples a second."""
    layout: str
    """FFmpeg's name of the channel layout, e.g. `5.1` or, where the file does not say, `6 channels`."""
    channels: int
    """Number of channels C."""


class Mixer:
    """Mixes a file's channels into one or two, and measures whether they cancel out.

    Args:
        channels: 1 or 2.
        matrices: the mixing matrix (C out, C in) of formats that are not mixed as FFmpeg does.
    """

    def __init__(self, channels: int, matrices: Mapping[SoundFormat, np.ndarray] | None = None) -> None:
        self.channels = channels
        self._matrices = matrices or {}
        self._energies: dict[SoundFormat, np.ndarray] = {}

    def __call__(self, form: SoundFormat, samples: np.ndarray) -> np.ndarray:
        """Mix samples (N, C in) into (N, C out)."""
        matrix = self._matrices.get(form)
        mixed: np.ndarray = (
            samples @ (mixing_matrix(form.layout, form.channels, self.channels) if matrix is None else matrix).T
        )
        if self.channels == 1 < form.channels:
            energies = np.square(np.concatenate([samples, mixed], axis=1), dtype=np.float64).sum(axis=0)
            self._energies[form] = self._energies.get(form, 0) + energies
        return mixed

    def loudest_instead(self) -> dict[SoundFormat, np.ndarray]:
        """For each format whose channels cancelled out (antiphase), the matrix that takes the loudest alone."""
        return {
            form: np.eye(form.channels, dtype=np.float32)[[int(each[:-1].argmax())]]
            for form, each in self._energies.items()
            if each[-1] < _CANCELLED * each[:-1].max()
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundTrack:
    """The track of a file that was chosen; every reading begins at its start."""

    path: Path
    """The file."""
    index: int
    """Index of the stream in the file."""
    format: SoundFormat
    """Format of its first sample; it may change on the way."""

    @classmethod
    def open(cls, path: Path) -> "SoundTrack":
        """Choose the default track that can be decoded, else the best (most channels, then rate, then the first).

        Raises:
            ValueError: no such file, not a media file, two of them laid end to end, or no track that can be decoded;
                one line.
        """
        if not path.is_file():
            raise ValueError(f"{path} is not a file" if path.exists() else f"no such audio file: {path}")
        with _open(path) as container:
            streams = list(container.streams.audio)
            if not streams:
                raise ValueError(f"{path} has no audio stream")
            allowed = [stream for stream in streams if not _aside(stream)]
            if not allowed:
                raise ValueError(f"{path}: its only sound is a commentary or a description")
            wanted = [stream.index for stream in sorted(allowed, key=_rank) if stream.codec_context is not None]
            if is_joined(path, container.format.name):
                begins_s = (container.duration or 0) / av.time_base
                raise ValueError(f"{path} cannot be read as audio: another recording begins at {begins_s:.1f} s")
        for index in wanted:
            first = _probe(path, index)
            if first is not None:
                return cls(path=path, index=index, format=first)
        if not wanted:
            raise ValueError(f"{path}: there is no decoder for its sound")
        if _is_empty(path, wanted):
            raise ValueError(f"{path} is empty: its audio lasts 0 s")
        raise ValueError(f"{path} cannot be read as audio: its sound cannot be decoded")

    def blocks(self) -> Iterator[tuple[SoundFormat, np.ndarray]]:
        """The sound (N, C) in fp32 as it is decoded, in order; packets that cannot be decoded are left out.

        Raises:
            ValueError: the file cannot be read to its end, or most of it cannot be decoded; one line.
        """
        num_decoded = num_failed = 0
        heard_s = 0.0
        unpack = _Unpacker()
        try:
            with _open(self.path) as container:
                for packet in _packets(container, self.index):
                    try:
                        frames = packet.decode()
                    except (av.FFmpegError, ValueError):
                        num_failed += 1
                        continue
                    num_decoded += 1
                    for frame in frames:
                        if frame.samples:
                            form = _format(frame, self.path)
                            heard_s += frame.samples / form.rate_hz
                            yield form, unpack(frame)
        except av.FFmpegError as error:
            # The stream changes to a format that FFmpeg cannot follow, e.g. in chained Opus.
            reason = f"its sound changes or is damaged at {heard_s:.1f} s ({error.strerror})"
            raise ValueError(f"{self.path} cannot be read as audio: {reason}") from error
        if num_failed > num_decoded:
            whole = num_decoded + num_failed
            raise ValueError(f"{self.path} cannot be read as audio: {num_failed} of {whole} packets are damaged")

    def resampled(self, rate_hz: int, mixer: Mixer) -> Generator[np.ndarray, None, None]:
        """The sound (N, C) at a rate, mixed, in pieces.

        The N of all pieces together is exactly ⌈seconds of sound · rate⌉, even if the track's rate changes on the way.

        Raises:
            ValueError: as `blocks`.
        """
        mixed = ((form.rate_hz, mixer(form, samples)) for form, samples in self.blocks())
        num_made, end_s = 0, Fraction(0)
        for source_rate_hz, pieces in groupby(mixed, key=lambda piece: piece[0]):
            convert = _RateConverter(source_rate_hz, rate_hz)
            for _, samples in pieces:
                end_s += Fraction(len(samples), source_rate_hz)
                out = convert(samples)[: ceil(end_s * rate_hz) - num_made]
                num_made += len(out)
                yield out
            # The resampler's filter may hold back a few samples of the tail.
            missing = ceil(end_s * rate_hz) - num_made
            tail = convert.rest(mixer.channels)[:missing]
            num_made += missing
            yield np.pad(tail, ((0, missing - len(tail)), (0, 0)))


@cache
def mixing_matrix(layout: str, channels: int, wanted: int) -> np.ndarray:
    """FFmpeg's matrix (C out, C in) from a layout to mono or stereo, scaled down where the sum could clip.

    The matrix is found by sending a one through each channel of FFmpeg's resampler. One channel becomes two equal ones;
    layouts for which FFmpeg has no matrix (nine channels, ambisonics) are averaged.
    """
    if channels == 1:
        return np.ones((wanted, 1), np.float32)
    columns = []
    try:
        for channel in range(channels):
            resampler = AudioResampler(
                format="flt", layout="mono" if wanted == 1 else "stereo", options={"rematrix_maxval": "1"}
            )
            one = np.zeros((64, channels), np.float32)
            one[:, channel] = 1
            frames = resampler.resample(_packed(one, 48_000, layout)) + resampler.resample(None)
            columns.append(frames[0].to_ndarray().reshape(-1, wanted)[32])
    except av.FFmpegError:
        return np.full((wanted, channels), 1 / channels, np.float32)
    return np.stack(columns, axis=1)


class _Unpacker:
    """Turns frames of any sample format into arrays (N, C)."""

    def __init__(self) -> None:
        self._form: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def __call__(self, frame: av.AudioFrame) -> np.ndarray:
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or form != self._form:
            # Packed, because PyAV reads beyond the planes of a frame with eight channels and more.
            self._form, self._resampler = form, AudioResampler(format="flt")
        frame.pts = None
        parts = [part.to_ndarray().reshape(-1, frame.layout.nb_channels) for part in self._resampler.resample(frame)]
        # Floating-point sound may hold any value: NaN and infinity become silence, loud ones clip, as in every player.
        samples: np.ndarray = np.nan_to_num(np.concatenate(parts), nan=0.0, posinf=0.0, neginf=0.0).clip(-1, 1)
        return samples


class _RateConverter:
    """FFmpeg's resampler from one rate to another over arrays (N, C) of one or two channels."""

    def __init__(self, source_rate_hz: int, rate_hz: int) -> None:
        self._source_rate_hz = source_rate_hz
        self._resampler = None if source_rate_hz == rate_hz else AudioResampler(format="flt", rate=rate_hz)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        if self._resampler is None:
            return samples
        channels = samples.shape[1]
        frame = _packed(samples, self._source_rate_hz, "mono" if channels == 1 else "stereo")
        return _joined(self._resampler.resample(frame), channels)

    def rest(self, channels: int) -> np.ndarray:
        """The samples that are still inside the resampler."""
        return _joined([] if self._resampler is None else self._resampler.resample(None), channels)


def _joined(frames: list[av.AudioFrame], channels: int) -> np.ndarray:
    parts = [frame.to_ndarray().reshape(-1, channels) for frame in frames]
    return np.concatenate([np.zeros((0, channels), np.float32), *parts])


def _packed(samples: np.ndarray, rate_hz: int, layout: str) -> av.AudioFrame:
    flat = np.ascontiguousarray(samples, dtype=np.float32).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(flat, format="flt", layout=layout)
    frame.sample_rate = rate_hz
    return frame


def _open(path: Path) -> av.container.InputContainer:
    try:
        # FFmpeg takes the text before a colon for a protocol, except after a slash.
        container = av.open(str(path.absolute()), metadata_errors="replace", options={"protocol_whitelist": "file"})
    except av.FFmpegError as error:
        raise ValueError(f"{path} cannot be read as audio: {error.strerror}") from error
    if not _PLAYLISTS.isdisjoint(container.format.name.split(",")):
        container.close()
        raise ValueError(f"{path} cannot be read as audio: a playlist, give the sound itself")
    return container


def _aside(stream: av.AudioStream) -> bool:
    """Whether a track is a commentary or a description of the film rather than its sound."""
    title = " ".join(str(stream.metadata.get(name, "")) for name in ("title", "handler_name"))
    return any(stream.disposition & one for one in _NOT_SPEECH) or bool(_COMMENTARY_TITLE.search(title))


def _rank(stream: av.AudioStream) -> tuple[bool, int, int, int]:
    context = stream.codec_context
    channels, rate_hz = (0, 0) if context is None else (context.channels, context.sample_rate or 0)
    return not stream.disposition & Disposition.default, -channels, -rate_hz, stream.index


def _format(frame: av.AudioFrame, path: Path) -> SoundFormat:
    if frame.sample_rate not in RATES_HZ:
        raise ValueError(f"{path} cannot be read as audio: it claims {frame.sample_rate} samples a second")
    return SoundFormat(rate_hz=frame.sample_rate, layout=frame.layout.name, channels=frame.layout.nb_channels)


def _probe(path: Path, index: int) -> SoundFormat | None:
    """The format in which a track begins; None if more of its first packets are damaged than can be decoded."""
    first, num_failed, num_packets = None, 0, 0
    # A file that breaks off here is reported when it is read.
    with _open(path) as container, suppress(av.FFmpegError):
        for packet in islice(_packets(container, index), _PROBED_PACKETS):
            num_packets += 1
            try:
                for frame in packet.decode():
                    first = first or (_format(frame, path) if frame.samples else None)
            except av.FFmpegError:
                num_failed += 1
    return first if 2 * num_failed <= num_packets else None


def _is_empty(path: Path, indices: list[int]) -> bool:
    with _open(path) as container, suppress(av.FFmpegError):
        return all(packet.size == 0 for packet in _packets(container, *indices))
    return False


def _packets(container: av.container.InputContainer, *indices: int) -> Iterator[av.Packet]:
    """Packets of some streams. PyAV raises at packets of a stream that begins on the way; those are passed over."""
    streams = [container.streams[index] for index in indices]
    packets = container.demux(streams)
    while True:
        try:
            yield next(packets)
        except IndexError:
            packets = container.demux(streams)
        except StopIteration:
            return
