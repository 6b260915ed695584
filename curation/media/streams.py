"""Which of a file's streams are used: the default ones, else the best; never a commentary, never cover art."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.stream import Disposition

from curation.media.errors import MediaError
from curation.media.playlists import HEAD_BYTES, names_other_files

_NOT_THE_PICTURE: Final = (
    Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image | Disposition.dependent
)
_STILLS: Final = frozenset({"bmp", "mjpeg", "png", "tiff", "webp"})
"""Codecs of single pictures: beside a stream of another codec they are its cover, whatever the file says."""
_NOT_THE_SOUND: Final = (
    *(Disposition.comment, Disposition.descriptions, Disposition.visual_impaired, Disposition.hearing_impaired),
    *(Disposition.karaoke, Disposition.clean_effects, Disposition.non_diegetic, Disposition.dependent),
)
_COMMENTARY_TITLE: Final = re.compile(r"comment|kommentar|comentari|audio.?descri|described", re.IGNORECASE)
RATES_HZ: Final = range(2_000, 768_001)
"""Sample rates that sound can have; any other rate is damage, and could ask for any amount of memory."""
_TRIED_PACKETS: Final = 64
"""Packets of a sound track that may fail before it counts as one that cannot be decoded."""
_MAX_RATE: Final = 1000
"""Frames a second; a container that says more counts something else."""
_NO_TIMESTAMPS: Final = 0x0080
"""FFmpeg's flag of formats that have no times at all: bare streams of a codec."""


@contextmanager
def open_media(path: str) -> Iterator[av.container.InputContainer]:
    """Open a file for reading.

    Raises:
        MediaError: it is missing, may not be read, is empty or no container.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
        if not head:
            raise MediaError("empty_file", path)
        if names_other_files(head):
            raise MediaError("unreadable", f"{path} is a list of other files, which are not read on its word")
        # FFmpeg takes what stands before a colon for a protocol.
        container = av.open(os.path.abspath(path), metadata_errors="replace")  # noqa: PTH100 (the path is a string)
    except FileNotFoundError as error:
        raise MediaError("missing", path) from error
    except (av.error.FFmpegError, ValueError, OSError) as error:
        denied = isinstance(error, PermissionError) and error.errno == errno.EACCES
        raise MediaError("no_permission" if denied else "unreadable", str(error)) from error
    with container:
        yield container


def choose_video(container: av.container.InputContainer) -> av.video.stream.VideoStream:
    """The moving picture: the default stream, among several the one with the most pixels; never a cover.

    Raises:
        MediaError: there is none that could be decoded.
    """
    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & _NOT_THE_PICTURE
    ]
    if not streams:
        raise MediaError("no_video_stream", container.name)
    return max(
        streams,
        key=lambda stream: (
            stream.codec_context.name not in _STILLS,
            bool(stream.disposition & Disposition.default),
            stream.codec_context.width * stream.codec_context.height,
            -stream.index,
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundTrack:
    """The sound track that is used."""

    index: int
    codec: str
    rate_hz: int
    channels: int
    """Rate and channels of its first sound; a header may leave them open, and they may change on the way."""


def choose_audio(path: str) -> SoundTrack | None:
    """The default sound track, else the one with the most channels, that can be decoded; None when there is none.

    Commentaries and descriptions are never taken.

    Raises:
        MediaError: the file cannot be opened.
    """
    with open_media(path) as container:
        tracks = sorted(_sound_tracks(container), key=_preference, reverse=True)
        indices = [track.index for track in tracks]
    return next((track for index in indices if (track := _heard(path, index)) is not None), None)


def packets_of(
    container: av.container.InputContainer, *streams: av.video.stream.VideoStream | av.audio.stream.AudioStream
) -> Iterator[av.packet.Packet]:
    """The packets of some streams, or of all; at the end an empty packet of each stream, which flushes its decoder.

    Transport streams, program streams and Flash video may begin another stream on the way. PyAV does not know that
    stream and raises an IndexError; its packets are not wanted, so reading goes on. Theora repeats a picture by an
    empty packet on the way. It is left out, because a decoder would take it for the end.

    Raises:
        av.error.FFmpegError, ValueError: the file breaks off.
    """
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except IndexError:
            packets = container.demux(*streams)
        except StopIteration:
            return
        else:
            if packet.size or packet.dts is None:
                yield packet


def is_bare(container: av.container.InputContainer) -> bool:
    """Whether it is the bare stream of a codec, whose times FFmpeg invents."""
    return bool(container.format.flags & _NO_TIMESTAMPS)


def rate_of(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> Fraction:
    """Frames a second: the container's average, else what the stream itself says; 0 when neither does."""
    average = Fraction(stream.average_rate or 0)
    if 0 < average <= _MAX_RATE and not is_bare(container):
        return average
    return Fraction(stream.guessed_rate or average)


def ready(stream: av.video.stream.VideoStream) -> None:
    """Let a stream's decoder use the CPUs that this process may use: Ray tells its actors how many."""
    stream.thread_type = "AUTO"
    # 0 lets the decoder use every core.
    stream.codec_context.thread_count = int(os.environ.get("OMP_NUM_THREADS", "0"))


def _sound_tracks(container: av.container.InputContainer) -> list[av.audio.stream.AudioStream]:
    return [stream for stream in container.streams.audio if stream.codec_context is not None and not _aside(stream)]


def _aside(stream: av.audio.stream.AudioStream) -> bool:
    """Whether a track is about the video (a commentary, a description) or a variant, rather than the video's sound."""
    title = " ".join(str(stream.metadata.get(name, "")) for name in ("title", "handler_name"))
    return any(stream.disposition & one for one in _NOT_THE_SOUND) or bool(_COMMENTARY_TITLE.search(title))


def _preference(stream: av.audio.stream.AudioStream) -> tuple[bool, int, int, int]:
    context = stream.codec_context
    return bool(stream.disposition & Disposition.default), context.channels, context.sample_rate, -stream.index


def _heard(path: str, index: int) -> SoundTrack | None:
    """A track as its first packets decode, or as its header says where it has none; None when it cannot be decoded."""
    failed = 0
    with open_media(path) as container:
        stream = container.streams[index]
        context = stream.codec_context
        try:
            for packet in packets_of(container, stream):
                if failed > _TRIED_PACKETS:
                    break
                try:
                    frames = packet.decode()
                except (av.error.FFmpegError, ValueError):
                    failed += 1
                    continue
                if frames:
                    return _track(index, context.name, frames[0].sample_rate, frames[0].layout.nb_channels)
        except (av.error.FFmpegError, ValueError):
            return None
        return None if failed else _track(index, context.name, context.sample_rate, context.channels)


def _track(index: int, codec: str, rate_hz: int, channels: int) -> SoundTrack | None:
    if rate_hz not in RATES_HZ or not channels:
        return None
    return SoundTrack(index=index, codec=codec, rate_hz=rate_hz, channels=channels)
