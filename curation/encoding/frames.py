"""A clip's frames at the rate and size that are encoded.

Letters: F pixel frames, H and W sides in pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from curation.media import MediaError, iter_raw_frames
from model.codecs.image import cover

BACKLOG = 16
"""Whole frames that may wait to be scaled: decoding is faster, and a 4K frame takes 25 MB."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The frames of a clip that are encoded: moments at a constant rate in the middle of the clip."""

    start: int
    """Number of the first moment, in frames at the constant rate since the clip's start."""
    shown: tuple[int, ...]
    """F numbers of the clip's own frames, the nearest in time to each moment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """What was read of a clip."""

    window: Pixels = field(repr=False)
    """(F, H, W, 3) RGB."""
    singles: dict[int, Pixels] = field(repr=False)
    """The single frames that were asked for: (H, W, 3) RGB by number among the clip's own frames."""


def choose_window(times_s: Sequence[float], *, fps: int, clip_frames: int, min_frames: int) -> Window:
    """Lay the window over a clip whose own frames are shown at `times_s`.

    Raises:
        MediaError: it has fewer than `min_frames`.
    """
    times = np.asarray(times_s)
    if len(times) < 2:
        raise MediaError("too_short", f"{len(times)} frames")
    # The last frame is taken to be shown as long as most are.
    end_s = times[-1] + np.median(np.diff(times))
    available = int(end_s * fps + 1e-3)
    num_frames = min(clip_frames, available - (available - 1) % 4)
    if num_frames < min_frames:
        raise MediaError("too_short", f"fewer than {min_frames} frames at {fps} fps")
    start = (available - num_frames) // 2
    moments = (start + np.arange(num_frames)) / fps
    nearest = np.searchsorted((times[1:] + times[:-1]) / 2, moments)
    return Window(start=start, shown=tuple(nearest.tolist()))


def read_pictures(
    path: str,
    times_s: Sequence[float],
    *,
    shown: Sequence[int],
    singles: Collection[int],
    size: tuple[int, int],
    pool: Executor,
) -> Pictures:
    """Decode a clip once and scale the wanted frames, as the generation pipeline scales a portrait.

    Args:
        path: of the clip.
        times_s: when its own frames are shown.
        shown: numbers of the frames of the window, in order; some may repeat.
        singles: numbers of further frames.
        size: (H, W).
        pool: threads that scale.

    Raises:
        MediaError: it cannot be opened, or a wanted frame cannot be decoded.
    """
    numbers = {time: number for number, time in enumerate(times_s)}
    wanted = {*shown, *singles}
    scaled: dict[int, Future[Pixels]] = {}
    for raw in iter_raw_frames(path):
        number = numbers.get(raw.time_s)
        if number in wanted:
            scaled[number] = pool.submit(_fit, raw.image(), size)
            if len(scaled) > BACKLOG:
                list(scaled.values())[-BACKLOG].result()
    if missing := wanted - scaled.keys():
        raise MediaError("undecodable", f"{len(missing)} of {len(wanted)} frames")
    done = {number: future.result() for number, future in scaled.items()}
    window = np.stack([done[number] for number in shown]) if shown else np.zeros((0, *size, 3), np.uint8)
    return Pictures(window=window, singles={number: done[number] for number in singles})


def _fit(image: Pixels, size: tuple[int, int]) -> Pixels:
    rgb = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    return np.array(cover(rgb, *size))
