"""How long a video lasts and how fast it runs, counted from its frames.

A header may lack the length (live recordings), give that of the sound, or claim more than the file holds; its rate may
be 0 or a thousand. Measurements over time must not depend on it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from curation.media import MediaError, frame_times, iter_raw_frames, probe

USUAL_FPS: Final = 25.0
"""Assumed for a video of a single frame whose header gives no rate."""
FPS_RANGE: Final = (1.0, 240.0)
"""Range of a header's rate that is accepted where frames cannot be counted."""
MAX_ERROR: Final = 0.02
"""Largest relative difference from the counted rate at which the header's, the exact one (24000/1001), is used."""


def shown_times(path: Path | str) -> tuple[float, ...]:
    """When each frame is shown, in seconds, rising; at least one.

    Raises:
        MediaError: the file cannot be read, no frame of it can be decoded, or none says when it is shown.
    """
    try:
        status = Path(path).stat()
    except FileNotFoundError as error:
        raise MediaError("missing", str(path)) from error
    return _shown_times(str(path), status.st_size, status.st_mtime_ns)


def length_s(path: Path | str) -> float:
    """Seconds from 0 to the end of the last frame, which is taken to last as long as the median frame.

    Raises:
        MediaError: see `shown_times`.
    """
    times = shown_times(path)
    return times[-1] + (float(np.median(np.diff(times))) if len(times) > 1 else 1 / frame_rate(path))


def frame_rate(path: Path | str) -> float:
    """Frames a second: the header's rate where it fits the counted one, else the counted one.

    Raises:
        MediaError: see `shown_times`.
    """
    times, claimed = shown_times(path), probe(str(path)).fps
    if len(times) < 2:
        return claimed if FPS_RANGE[0] <= claimed <= FPS_RANGE[1] else USUAL_FPS
    counted = (len(times) - 1) / (times[-1] - times[0])
    return claimed if abs(claimed - counted) <= MAX_ERROR * counted else counted


def at_least_one(fps: float, duration_s: float) -> float:
    """The rate at which frames are sampled, raised where a video is so short that none would be."""
    return max(fps, 1 / duration_s)


@lru_cache(maxsize=4)
def _shown_times(path: str, size: int, modified_ns: int) -> tuple[float, ...]:  # noqa: ARG001 (the cache's key)
    try:
        times = frame_times(path)
    except MediaError:
        times = []  # the file is cut off or cannot be opened: decoding raises the reason
    times = times or [frame.time_s for frame in iter_raw_frames(path)]
    if not times:
        probe(path)  # raises the reason where nothing can be decoded
        raise MediaError("no_timestamps", "nothing says when its frames are shown")
    return tuple(times)
