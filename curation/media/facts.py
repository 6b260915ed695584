"""What is found out once about a file before anything else is read of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

import av

from curation.media.colour import Colour, colour_of
from curation.media.duration import claimed_duration_s, measured_duration_s
from curation.media.errors import MediaError
from curation.media.orientation import Orientation, display_size, orientation_of, sample_aspect_ratio
from curation.media.streams import SoundTrack, choose_audio, choose_video, open_media, packets_of, ready
from curation.schema import INTERLACED

_WITHOUT_PRESENTATION_TIMES: Final = frozenset({"avi"})
"""Containers that store the order of decoding only."""
_NO_TIMESTAMPS: Final = 0x0080
"""FFmpeg's flag of formats that have no times at all: bare streams of a codec."""
_CHECKED_FRAMES: Final = 32
"""Frames at the beginning whose times must run forwards, where the packets leave that open."""
_DEFAULT_RATE: Final = Fraction(25)
_FIELD_ORDERS: Final = {0: "unknown", 1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """A file's streams, its clock and what its first picture shows."""

    video_index: int
    sound: SoundTrack | None
    """None when no track can be decoded."""
    has_sound_tracks: bool
    """Whether there is any, decodable or not."""
    codec: str
    pixel_format: str
    stored_size: tuple[int, int]
    """Width and height of the first picture as it is stored."""
    aspect: Fraction
    """Width over height of its pixels."""
    orientation: Orientation
    colour: Colour
    field_order: str
    """`progressive`, `unknown`, or which field of a frame is coded and shown first: `tt`, `bb`, `tb`, `bt`."""
    time_base: Fraction
    """Seconds of a tick of the video stream."""
    rate: Fraction
    """Average frames a second; 0 when the file does not say."""
    counted: bool
    """The container has no times of presentation: the n-th picture shown takes the n-th packet's place."""
    duration_s: float
    duration_measured: bool
    """The header claims no duration; the file was read to find out."""
    origin: int
    """Time of the first picture, in ticks: the zero of all our times."""

    @property
    def interlaced(self) -> bool:
        """Whether its frames are made of two fields from different moments."""
        return self.field_order in INTERLACED

    @property
    def origin_s(self) -> Fraction:
        """The first picture's time on the container's clock, in seconds."""
        return self.origin * self.time_base

    @property
    def period(self) -> int:
        """Ticks from one frame to the next, where nothing better is known."""
        return max(1, round(1 / (self.rate or _DEFAULT_RATE) / self.time_base))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as a player shows them."""
        return display_size(*self.stored_size, self.aspect, self.orientation.rotation_deg)


def facts_of(path: str) -> Facts:
    """Read the headers, decode the first picture and try the sound; remembered while the file does not change.

    Raises:
        MediaError: see the class.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 (paths are strings throughout: they travel in rows)
    except OSError:
        return _examine(path)
    return _remembered(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _remembered(path: str, _inode: int, _size: int, _changed: int) -> Facts:
    return _examine(path)


def _examine(path: str) -> Facts:
    with open_media(path) as container:
        stream = choose_video(container)
        ready(stream)
        counted = _without_times(container)
        packets = _first_packets(container, stream)
        claimed = claimed_duration_s(container)
        suspicious = _times_may_be_decoding_order(packets, reorders=bool(stream.codec_context.has_b_frames))
    with open_media(path) as container:
        stream = choose_video(container)
        ready(stream)
        frames = _first_frames(container, stream, _CHECKED_FRAMES if suspicious else 1)
        first, times = frames[0], [frame.pts for frame in frames]
        if suspicious and not counted:
            known = [time for time in times if time is not None]
            counted = not known or known != sorted(known)
        start = packets[0].dts if counted else first.pts
        return Facts(
            video_index=stream.index,
            sound=choose_audio(path) if container.streams.audio else None,
            has_sound_tracks=bool(container.streams.audio),
            codec=stream.codec_context.name,
            pixel_format=first.format.name,
            stored_size=(first.width, first.height),
            aspect=sample_aspect_ratio(stream),
            orientation=orientation_of(first),
            colour=colour_of(first),
            field_order=_field_order(stream, first),
            time_base=Fraction(stream.time_base),
            rate=Fraction(stream.average_rate or 0),
            counted=counted,
            duration_s=_measured(path) if claimed is None else claimed,
            duration_measured=claimed is None,
            origin=int(stream.start_time or 0) if start is None else int(start),
        )


def _measured(path: str) -> float:
    with open_media(path) as container:
        return measured_duration_s(container)


def _without_times(container: av.container.InputContainer) -> bool:
    names = set(container.format.name.split(","))
    return bool(container.format.flags & _NO_TIMESTAMPS) or bool(names & _WITHOUT_PRESENTATION_TIMES)


def _first_packets(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> list[av.packet.Packet]:
    packets: list[av.packet.Packet] = []
    try:
        for packet in packets_of(container, stream):
            if packet.size:
                packets.append(packet)
            if len(packets) >= 2 * _CHECKED_FRAMES:
                break
    except (av.error.FFmpegError, ValueError):
        pass  # the file breaks off: whoever decodes it will meet that
    if not packets:
        raise MediaError("undecodable", "no packet of the video stream could be read")
    return packets


def _times_may_be_decoding_order(packets: Sequence[av.packet.Packet], *, reorders: bool) -> bool:
    """Whether packets of a codec that reorders come without presentation times, or with times that never reorder."""
    known = [packet.pts for packet in packets if packet.pts is not None]
    return len(known) < len(packets) or (reorders and known == sorted(known))


def _first_frames(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, count: int
) -> list[av.video.frame.VideoFrame]:
    frames: list[av.video.frame.VideoFrame] = []
    problem = "no frame could be decoded"
    packets = packets_of(container, stream)
    while len(frames) < count:
        try:
            frames += next(packets).decode()
        except (StopIteration, av.error.EOFError, EOFError):
            break
        except (av.error.FFmpegError, ValueError) as error:
            problem = str(error)
    if not frames:
        raise MediaError("undecodable", problem)
    return frames


def _field_order(stream: av.video.stream.VideoStream, first: av.video.frame.VideoFrame) -> str:
    order = _FIELD_ORDERS.get(int(stream.codec_context.field_order), "unknown")
    return "tt" if first.interlaced_frame and order in {"unknown", "progressive"} else order
