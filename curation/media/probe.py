"""Opening a media file and telling what it shows, in display terms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import av

from curation.schema import VideoInfo


class MediaError(Exception):
    """A file that cannot be read as video; `rule` is the short reason that goes into records.

    Rules: `missing`, `empty_file`, `unreadable` (no container), `no_video_stream`, `undecodable`.
    """

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


@contextmanager
def open_video(path: str) -> Iterator[av.container.InputContainer]:
    """Open `path` for reading, its first video stream ready to decode.

    Raises:
        MediaError: the file is missing, empty, no container or has no video stream.
    """
    try:
        if os.path.getsize(path) == 0:  # noqa: PTH202 (paths are strings throughout: they travel in rows)
            raise MediaError("empty_file", path)
    except FileNotFoundError as error:
        raise MediaError("missing", path) from error
    try:
        container = av.open(path, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise MediaError("unreadable", str(error)) from error
    with container:
        if not moving_picture_streams(container):
            raise MediaError("no_video_stream", path)
        stream = video_stream(container)
        stream.thread_type = "AUTO"
        # Ray sets this to the CPUs of the actor; 0 lets the decoder use every core.
        stream.codec_context.thread_count = int(os.environ.get("OMP_NUM_THREADS", "0"))
        yield container


def moving_picture_streams(container: av.container.InputContainer) -> list[av.video.stream.VideoStream]:
    """Video streams that can be decoded and are not cover art."""
    return [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not (stream.disposition & av.stream.Disposition.attached_pic)
    ]


def video_stream(container: av.container.InputContainer) -> av.video.stream.VideoStream:
    """The video stream that everything here means: the first that is not cover art."""
    return moving_picture_streams(container)[0]


def probe(path: str) -> VideoInfo:
    """Read the headers and decode one frame.

    Raises:
        MediaError: see the class.
    """
    with open_video(path) as container:
        stream = video_stream(container)
        first = _first_frame(container, stream)
        rotation_deg = round(-first.rotation / 90) * 90 % 360
        aspect = sample_aspect_ratio(stream)
        width, height = display_size(first.width, first.height, aspect, rotation_deg)
        duration = (
            stream.duration * stream.time_base if stream.duration else Fraction(container.duration or 0, av.time_base)
        )
        audio = next((s for s in container.streams.audio if s.codec_context is not None), None)
        return VideoInfo(
            width=width,
            height=height,
            fps=float(stream.average_rate or 0),
            duration_s=float(duration),
            codec=stream.codec_context.name,
            pixel_format=first.format.name,
            rotation_deg=rotation_deg,
            sample_aspect_ratio=float(aspect),
            audio_codec=audio.codec_context.name if audio else None,
            audio_rate_hz=audio.codec_context.sample_rate if audio else 0,
            audio_channels=audio.codec_context.channels if audio else 0,
        )


def sample_aspect_ratio(stream: av.video.stream.VideoStream) -> Fraction:
    """Width over height of a stored pixel; 1 when the file does not say or says nonsense."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    return aspect if Fraction(1, 4) <= aspect <= 4 else Fraction(1)


def display_size(width: int, height: int, aspect: Fraction, rotation_deg: int) -> tuple[int, int]:
    """Width and height as a player shows them: pixels made square, then turned."""
    width = round(width * aspect)
    return (height, width) if rotation_deg in (90, 270) else (width, height)


def _first_frame(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> av.video.frame.VideoFrame:
    try:
        for frame in container.decode(stream):
            return frame
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError("undecodable", str(error)) from error
    raise MediaError("undecodable", "no frame could be decoded")
