"""Recordings whose handling can be measured: frames are numbered, and bursts of sound mark the moments of some."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Colorspace

from curation.media import Cut, cut_clips, iter_raw_frames, read_audio
from tests.worlds.videos import frame_number, picture

FPS = 25
RATE_HZ = 48_000
FIRST_BURST, BURST_EVERY = 12, 25
"""Frames at which a burst of 5 ms is heard."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One sound track."""

    codec: str = "aac"
    rate_hz: int = RATE_HZ
    layout: str = "mono"
    samples: npt.NDArray[np.float32] | None = None
    """(channels, N); the bursts by default."""
    disposition: int = 0
    title: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """How a recording is stored."""

    container: str | None = None
    codec: str = "libx264"
    options: Mapping[str, str] = field(default_factory=dict)
    container_options: Mapping[str, str] = field(default_factory=dict)
    left_out: Callable[[int], bool] = lambda _: False
    """Frames that are not stored, by number; the others keep their times."""
    gop: int = 250
    b_frames: int = 3
    size: tuple[int, int] = (160, 128)
    seconds: float = 4.4
    tracks: Sequence[Track] = (Track(),)


def write_recording(path: Path, recording: Recording = Recording()) -> Path:
    """Write a recording; its frames are `picture(number)`."""
    with av.open(
        str(path), "w", format=recording.container, container_options=dict(recording.container_options)
    ) as output:
        video = output.add_stream(recording.codec, rate=FPS, options=dict(recording.options))
        video.width, video.height = recording.size
        video.pix_fmt = "yuv420p"
        context = video.codec_context
        context.gop_size, context.max_b_frames = recording.gop, recording.b_frames
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        sounds = [
            (track, _samples_of(track, recording.seconds), _add_track(output, track)) for track in recording.tracks
        ]
        position = 0.0
        for index in range(round(recording.seconds * FPS)):
            frame = av.VideoFrame.from_ndarray(picture(index, *recording.size), format="bgr24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=1)
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            if not recording.left_out(index):
                output.mux(video.encode(frame))
            if index % FPS == FPS - 1:
                position = (index + 1) / FPS
                for track, samples, sound in sounds:
                    _write_span(output, track, samples, sound, (position - 1, position))
        for track, samples, sound in sounds:
            _write_span(output, track, samples, sound, (position, recording.seconds))
            output.mux(sound.encode(None))
        output.mux(video.encode(None))
    return path


def bursts(seconds: float, rate_hz: int) -> npt.NDArray[np.float32]:
    """(1, N): 5 ms of 1 kHz at the moments of every 25th frame from the 12th on."""
    samples = np.zeros(round(seconds * rate_hz), np.float32)
    length = round(0.005 * rate_hz)
    burst = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(length) / rate_hz)
    for frame in range(FIRST_BURST, round(seconds * FPS), BURST_EVERY):
        begin = round(frame / FPS * rate_hz)
        samples[begin : begin + length] = burst[: len(samples) - begin]
    return samples[None]


def sine(seconds: float, rate_hz: int, hertz: float = 440.0) -> npt.NDArray[np.float32]:
    """(1, N)."""
    return np.asarray(0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate_hz)) / rate_hz), np.float32)[None]


def distortion_db(samples: npt.NDArray[np.int16], rate_hz: int, hertz: float = 440.0) -> float:
    """Power of what is not the sine, in decibels of the sine's."""
    values = samples.astype(np.float64)
    angle = 2 * np.pi * hertz * np.arange(len(values)) / rate_hz
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    fit = basis @ np.linalg.lstsq(basis, values, rcond=None)[0]
    return float(10 * np.log10(np.mean((values - fit) ** 2) / np.mean(fit**2)))


def numbers_seen(path: Path, start_s: float = 0.0, end_s: float = float("inf")) -> list[int]:
    """The frames that stages are shown."""
    return [frame_number(raw.image()) for raw in iter_raw_frames(str(path), start_s, end_s)]


def exported_offsets_ms(path: Path, start_s: float, end_s: float) -> list[float]:
    """How much later each burst is heard in the exported sound than its frame is shown in the exported video."""
    (video,) = cut_clips(str(path), [Cut(start_s, end_s)])
    assert video is not None
    samples, rate_hz = read_audio(str(path), start_s, end_s)
    heard = burst_times(samples[:, 0], rate_hz)
    offsets = []
    with av.open(io.BytesIO(video.mp4)) as container:
        for frame in container.decode(video=0):
            number = frame_number(frame.to_ndarray(format="bgr24"))
            if number % BURST_EVERY == FIRST_BURST % BURST_EVERY:
                nearest = min(heard, key=lambda time, shown=frame.time: abs(time - shown))  # type: ignore[misc]
                offsets.append(1000 * (nearest - frame.time))
    return offsets


def burst_times(samples: npt.NDArray[np.int16], rate_hz: int) -> list[float]:
    """When bursts begin, to a fraction of a millisecond: the middle of their energy, less half their length."""
    energy = samples.astype(np.float64) ** 2
    loud = np.flatnonzero(energy > 0.05 * energy.max())
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > rate_hz // 10) + 1)
    middles = [float((group * energy[group]).sum() / energy[group].sum()) for group in groups]
    return [middle / rate_hz - 0.0025 for middle in middles]


def delayed(
    path: Path, to: Path, seconds: float, *, kind: str = "", keep: Callable[[int], bool] = lambda _: True
) -> Path:
    """Write the same packets at later times.

    Args:
        path: the recording.
        to: the file to write.
        seconds: how much later the packets come.
        kind: `video` or `audio`, to delay only packets of this kind; `keep` then applies to these only.
        keep: whether to keep a delayed packet, by its number.
    """
    with av.open(str(path)) as source, av.open(str(to), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        number = -1
        for packet in source.demux():
            if packet.dts is None:
                continue
            meant = kind in {"", packet.stream.type}
            number += meant
            if meant and not keep(number):
                continue
            shift = round(seconds / packet.time_base) if meant else 0
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    return to


def _add_track(output: av.container.OutputContainer, track: Track) -> av.audio.stream.AudioStream:
    sound = output.add_stream(track.codec, rate=track.rate_hz)
    sound.layout = track.layout
    if track.codec == "aac":
        sound.bit_rate = 256_000
    if track.disposition:
        sound.disposition = track.disposition
    if track.title:
        sound.metadata["title"] = track.title
    return sound


def _samples_of(track: Track, seconds: float) -> npt.NDArray[np.float32]:
    return bursts(seconds, track.rate_hz) if track.samples is None else track.samples


def _write_span(
    output: av.container.OutputContainer,
    track: Track,
    samples: npt.NDArray[np.float32],
    sound: av.audio.stream.AudioStream,
    span: tuple[float, float],
) -> None:
    begin, end = round(span[0] * track.rate_hz), round(span[1] * track.rate_hz)
    part = np.ascontiguousarray(samples[:, begin:end])
    if not part.shape[1]:
        return
    frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=track.layout)
    frame.sample_rate, frame.pts, frame.time_base = track.rate_hz, begin, Fraction(1, track.rate_hz)
    output.mux(sound.encode(frame))
