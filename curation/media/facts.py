"""What is found out once about a file before anything else is read of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

import av

from curation.clip.schema import INTERLACED
from curation.media.colour import Colour, Tags, colour_of
from curation.media.duration import DEFAULT_RATE, claimed_duration_s, measured_duration_s
from curation.media.errors import MediaError
from curation.media.orientation import Orientation, display_size, orientation_of, sample_aspect_ratio
from curation.media.streams import (
    SoundTrack,
    choose_audio,
    choose_video,
    is_bare,
    open_media,
    packets_of,
    rate_of,
    ready,
)

_WITHOUT_PRESENTATION_TIMES: Final = frozenset({"avi"})
"""Containers that store decoding times only."""
_CHECKED_FRAMES: Final = 32
"""Frames at the beginning whose times must run forwards, where the packets do not show that."""
_FIELD_ORDERS: Final = {0: "unknown", 1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """A file's streams, its clock and what its first picture shows."""

    video_index: int
    sound: SoundTrack | None
    """None when no track can be decoded."""
    has_sound_tracks: bool
    """Whether there is any track, decodable or not."""
    codec: str
    pixel_format: str
    stored_size: tuple[int, int]
    """Width and height of the first picture as it is stored."""
    aspect: Fraction
    """Width over height of its pixels."""
    orientation: Orientation
    container_tags: Tags
    """What the container says of colours; some decoders forget it."""
    colour: Colour
    field_order: str
    """`progressive`, `unknown`, or which field of a frame is coded and shown first: `tt`, `bb`, `tb`, `bt`."""
    fields_marked: bool
    """Whether the decoder marks interlaced frames; if not, all frames are interlaced when the container says so."""
    time_base: Fraction
    """Seconds of a tick of the video stream."""
    rate: Fraction
    """Average frames a second; 0 when the file does not say."""
    counted: bool
    """Whether the container has no presentation times: the n-th picture shown then takes the decoding time of the n-th
    packet."""
    pace: Fraction
    """Factor on the counted times: FFmpeg lays out the packets of bare streams at a rate of its own."""
    duration_s: float
    duration_measured: bool
    """Whether the header claims no duration, so that the file was read to find out."""
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
        return max(1, round(1 / (self.rate or DEFAULT_RATE) / self.time_base))

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
        container_tags = Tags.of(stream.codec_context)
        counted = _without_times(container)
        packets = _first_packets(container, stream)
        claimed, begin = claimed_duration_s(container), stream.start_time
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
        origin = int(stream.start_time or 0) if start is None else int(start)
        if claimed is not None and begin is not None and not counted:
            # The claim counts from the first packet, which cannot be decoded where a recording begins between key
            # frames.
            claimed -= max(0.0, float((origin - begin) * stream.time_base))
            claimed = claimed if claimed > 0 else None
        rate = rate_of(container, stream)
        return Facts(
            video_index=stream.index,
            sound=choose_audio(path) if container.streams.audio else None,
            has_sound_tracks=bool(container.streams.audio),
            codec=stream.codec_context.name,
            pixel_format=first.format.name,
            stored_size=(first.width, first.height),
            aspect=sample_aspect_ratio(stream),
            orientation=orientation_of(first),
            container_tags=container_tags,
            colour=colour_of(first, container_tags),
            field_order=_field_order(stream, first),
            fields_marked=first.interlaced_frame or not stream.codec_context.codec.intra_only,
            time_base=Fraction(stream.time_base),
            rate=rate,
            counted=counted,
            pace=Fraction(stream.average_rate or rate) / rate if is_bare(container) and rate else Fraction(1),
            duration_s=_measured(path) if claimed is None else claimed,
            duration_measured=claimed is None,
            origin=origin,
        )


def _measured(path: str) -> float:
    with open_media(path) as container:
        return measured_duration_s(container)


def _without_times(container: av.container.InputContainer) -> bool:
    names = set(container.format.name.split(","))
    return is_bare(container) or bool(names & _WITHOUT_PRESENTATION_TIMES)


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
        pass  # the file breaks off: decoding it will show that
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
    if not first.interlaced_frame or order not in {"unknown", "progressive"}:
        return order
    # PyAV does not tell which field comes first. It is the upper one nearly everywhere, in DV always the lower one.
    return "bb" if stream.codec_context.name == "dvvideo" else "tt"
