"""Decoding frames as a player shows them: rotated, with square pixels, on a timeline that starts at 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from curation.media.probe import MediaError, display_size, open_video, sample_aspect_ratio, video_stream


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture."""

    time_s: float
    image: npt.NDArray[np.uint8]
    """`(H, W, 3)` BGR."""
    damaged: bool
    """The decoder had to invent part of it, or the packet before it could not be decoded."""


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame as the decoder gives it, with its time; pictures are made of it at the size that is asked for."""

    time_s: float
    frame: av.video.frame.VideoFrame
    aspect: Fraction
    """Width over height of its pixels."""
    damaged: bool
    scalers: dict[tuple[int, int], VideoReformatter]
    """One a size, shared by the frames of a pass: setting one up costs as much as scaling."""

    def image(self, short_edge: int | None = None) -> npt.NDArray[np.uint8]:
        """`(H, W, 3)` BGR, square-pixelled and upright, its short edge at most `short_edge` pixels."""
        frame = self.frame
        width, height = display_size(frame.width, frame.height, self.aspect, 0)
        if short_edge is not None and min(width, height) > short_edge:
            scale = short_edge / min(width, height)
            width, height = round(width * scale), round(height * scale)
        scaler = self.scalers.setdefault((width, height), VideoReformatter())
        method = "AREA" if 2 * width <= frame.width else "BICUBIC"
        image = scaler.reformat(frame, width, height, "bgr24", interpolation=method).to_ndarray()
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns), np.uint8)


def decode(
    container: av.container.InputContainer, start_s: float = 0.0, end_s: float = float("inf")
) -> Iterator[RawFrame]:
    """Frames with `start_s <= time < end_s` in order of time; an undecodable packet marks the next one.
    A file that breaks off simply ends: compare the last time with the duration that the file claims.
    """
    stream = video_stream(container)
    origin, aspect = stream_origin(stream), sample_aspect_ratio(stream)
    if start_s > 0:
        container.seek(int((Fraction(start_s) + origin) / stream.time_base), stream=stream)
    last_s, damaged = float("-inf"), False
    scalers: dict[tuple[int, int], VideoReformatter] = {}
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            frames = packet.decode()
        except StopIteration:
            return
        except (av.error.EOFError, EOFError):
            return
        except (av.error.FFmpegError, ValueError):
            damaged = True
            continue
        for frame in frames:
            if frame.pts is None:
                continue
            time_s = float(frame.pts * stream.time_base - origin)
            if time_s >= end_s - TIME_TOLERANCE_S:
                return
            if time_s < start_s - TIME_TOLERANCE_S or time_s <= last_s:
                continue
            yield RawFrame(time_s, frame, aspect, damaged or frame.is_corrupt, scalers)
            last_s, damaged = time_s, False


TIME_TOLERANCE_S = 1e-4
"""Two times closer than this are the same frame: far below any frame period, above float rounding."""


def stream_origin(stream: av.video.stream.VideoStream) -> Fraction:
    """Presentation time of the first video frame, in seconds: the zero of all our times."""
    return Fraction(stream.start_time or 0) * Fraction(stream.time_base)


def frame_times(path: str) -> list[float]:
    """When each frame of a file is shown, in seconds, read from its packets without decoding.

    Raises:
        MediaError: the file cannot be opened or breaks off.
    """
    with open_video(path) as container:
        stream = video_stream(container)
        origin, time_base = stream_origin(stream), stream.time_base
        try:
            packets = [packet for packet in container.demux(stream) if packet.pts is not None]
            shown = {packet.pts for packet in packets if not packet.is_discard}
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError("undecodable", str(error)) from error
        return [float(pts * time_base - origin) for pts in sorted(shown)]


def iter_frames(
    path: str, start_s: float = 0.0, end_s: float = float("inf"), *, short_edge: int | None = None
) -> Iterator[Frame]:
    """Every frame of a span, scaled down so that its short edge is at most `short_edge` pixels.

    Raises:
        MediaError: the file cannot be opened.
    """
    for raw in iter_raw_frames(path, start_s, end_s):
        yield Frame(raw.time_s, raw.image(short_edge), raw.damaged)


def iter_raw_frames(path: str, start_s: float = 0.0, end_s: float = float("inf")) -> Iterator[RawFrame]:
    """Every frame of a span before it is made a picture; one is valid until the next is asked for.

    Raises:
        MediaError: the file cannot be opened.
    """
    with open_video(path) as container:
        yield from decode(container, start_s, end_s)


def sample_frames(
    path: str, start_s: float, end_s: float, *, fps: float, short_edge: int | None = None
) -> Iterator[Frame]:
    """The span at a constant rate: for each tick `start_s + i / fps` the frame on screen at that time.

    Raises:
        MediaError: the file cannot be opened or has no frame in the span.
    """
    ticks = int(np.floor((end_s - start_s) * fps + 1e-6))
    sent, shown = 0, None
    for frame in iter_frames(path, start_s, end_s, short_edge=short_edge):
        while shown is not None and sent < ticks and start_s + sent / fps < frame.time_s - TIME_TOLERANCE_S:
            yield Frame(start_s + sent / fps, shown.image, shown.damaged)
            sent += 1
        shown = frame
    if shown is None:
        raise MediaError("undecodable", f"no frame between {start_s:.3f} s and {end_s:.3f} s")
    for tick in range(sent, ticks):
        yield Frame(start_s + tick / fps, shown.image, shown.damaged)
