"""How long a file's moving picture lasts: what its header claims, else what is found by reading it."""

from __future__ import annotations

import os
import re
from fractions import Fraction
from typing import BinaryIO, Final

import av

from curation.media.errors import MediaError
from curation.media.streams import choose_video, packets_of, rate_of

_TAGGED: Final = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
DEFAULT_RATE: Final = Fraction(25)
"""Frames a second where a file says nothing."""
MAX_CLAIMED_S: Final = 48 * 3600.0
"""A header that says more is damaged: it would be planned as thousands of units without a picture."""
BUFFER_BYTES: Final = 4096
"""What FFmpeg asks a file object for at a time: where it goes from box to box, each place costs as much."""
BRIEF: Final = {"probesize": "1000000", "fpsprobesize": "1"}
"""FFmpeg's options that let it look at few packets. It otherwise reads up to 5 MB of them to guess rates, which no
duration depends on."""
_OWN_DURATIONS: Final = ("mov,mp4", "mpegts", "avi")
"""How FFmpeg's names of formats begin in which each stream's duration is stored or is seen at the end of the file."""
_IN_HEADERS: Final = ("avi",)
"""Those of them in which it is known before any packet has been seen."""
_OF_THE_WHOLE: Final = ("flv",)
"""Formats that say when the whole file ends; a stream's own beginning is seen with its first packet."""
_SAME_S: Final = 1e-3


def duration_s(file: str | BinaryIO) -> float:
    """Seconds of the moving picture in a file, given as a path or a readable object.

    What the header claims; where it claims nothing, the whole file is read to find out.

    Raises:
        MediaError: it has no moving picture.
        av.error.FFmpegError, OSError, ValueError: it cannot be read.
    """
    # FFmpeg takes what stands before a colon for a protocol.
    opened = os.path.abspath(file) if isinstance(file, str) else file  # noqa: PTH100 (the path is a string)
    claimed = _briefly_claimed_s(opened)
    if claimed is not None:
        return claimed
    _rewind(opened)
    with av.open(opened, metadata_errors="replace", buffer_size=BUFFER_BYTES) as container:
        claimed = claimed_duration_s(container)
        return measured_duration_s(container) if claimed is None else claimed


def _briefly_claimed_s(file: str | BinaryIO) -> float | None:
    """What the header says, found by reading little; None where more must be read to tell."""
    try:
        with av.open(file, metadata_errors="replace", options=BRIEF, buffer_size=BUFFER_BYTES) as container:
            stream = choose_video(container)
            claimed = claimed_duration_s(container)
            sized = all(each.codec_context.width for each in container.streams.video if each.codec_context is not None)
            if claimed is None or not sized:
                return None
            name = container.format.name
            if name in _OF_THE_WHOLE:
                return None if stream.start_time is None else claimed
            if not stream.duration or not name.startswith(_OWN_DURATIONS):
                return None
            others = [each for each in container.streams if each.index != stream.index]
            # A stream of which FFmpeg has seen no packet yet gets the duration of the whole file.
            is_whole = abs(claimed - (container.duration or 0) / av.time_base) < _SAME_S
            return None if others and is_whole and name not in _IN_HEADERS else claimed
    except (MediaError, av.error.FFmpegError, ValueError):
        return None


def _rewind(file: str | BinaryIO) -> None:
    if not isinstance(file, str):
        file.seek(0)


def claimed_duration_s(container: av.container.InputContainer) -> float | None:
    """What the header says, in seconds; None when it says nothing, or nothing credible."""
    stream = choose_video(container)
    if stream.duration:
        claimed = float(stream.duration * stream.time_base)
    else:
        # Matroska and Flash say when the whole file ends, not how long each stream is.
        begin_s = max(0.0, float((stream.start_time or 0) * stream.time_base))
        whole_s = (container.duration or 0) / av.time_base
        claimed = min(whole_s, _tagged_end_s(stream) or whole_s) - begin_s
    return claimed if 0 < claimed <= MAX_CLAIMED_S else None


def _tagged_end_s(stream: av.video.stream.VideoStream) -> float | None:
    """When a stream ends by the tag that Matroska's writers add to each, in seconds."""
    found = _TAGGED.fullmatch(str(stream.metadata.get("DURATION", "")))
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def measured_duration_s(container: av.container.InputContainer) -> float:
    """From the first packet's time to the end of the last, in seconds; counted where packets have no times."""
    stream = choose_video(container)
    times: list[Fraction] = []
    lengths: list[Fraction] = []
    num_packets = 0
    try:
        for packet in packets_of(container, stream):
            if not packet.size:
                continue
            num_packets += 1
            if packet.duration:
                lengths.append(packet.duration * packet.time_base)
            if packet.pts is not None:
                times.append(packet.pts * packet.time_base)
    except (av.error.FFmpegError, ValueError):
        pass  # the file breaks off: its duration is what was read
    period = 1 / (rate_of(container, stream) or DEFAULT_RATE)
    if len(times) < num_packets:
        return float(num_packets * period)
    if not times:
        raise MediaError("undecodable", "no packet of the video stream")
    return float(max(times) - min(times) + (lengths[-1] if lengths else period))
