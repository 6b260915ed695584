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


def duration_s(file: str | BinaryIO) -> float:
    """Seconds of the moving picture in a file, given as a path or a readable object.

    What the header claims; where it claims nothing, the whole file is read to find out.

    Raises:
        MediaError: it has no moving picture.
        av.error.FFmpegError, OSError, ValueError: it cannot be read.
    """
    # FFmpeg takes what stands before a colon for a protocol.
    opened = os.path.abspath(file) if isinstance(file, str) else file  # noqa: PTH100 (the path is a string)
    with av.open(opened, metadata_errors="replace") as container:
        claimed = claimed_duration_s(container)
        return measured_duration_s(container) if claimed is None else claimed


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
