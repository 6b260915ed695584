"""Frames as a player shows them: upright, with square pixels, on a timeline that starts at 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from curation.media.errors import MediaError
from curation.media.facts import Facts, facts_of
from curation.media.orientation import display_size
from curation.media.timeline import SAME_FRAME_S, frame_ticks, seconds, timed_frames


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
    ticks: int
    """The same time in the stream's time base."""
    frame: av.video.frame.VideoFrame
    facts: Facts
    damaged: bool
    scalers: dict[tuple[int, int] | None, VideoReformatter]
    """One for each size, and one for brightness, shared by the frames of a pass: setting one up costs as much as
    scaling."""

    @property
    def as_stored(self) -> bool:
        """Whether it is shown as it is stored: upright, its pixels square."""
        return self.facts.aspect == 1 and self.facts.orientation.upright

    def luma(self) -> npt.NDArray[np.uint8]:
        """`(H, W)` brightness at full size, rows as they are stored."""
        scaler = self.scalers.setdefault(None, VideoReformatter())
        return np.asarray(scaler.reformat(self.frame, format="gray").to_ndarray(), np.uint8)

    def image(self, short_edge: int | None = None) -> npt.NDArray[np.uint8]:
        """`(H, W, 3)` BGR, square-pixelled and upright, its short edge at most `short_edge` pixels."""
        frame = self.frame
        width, height = display_size(frame.width, frame.height, self.facts.aspect, 0)
        if short_edge is not None and min(width, height) > short_edge:
            scale = short_edge / min(width, height)
            width, height = round(width * scale), round(height * scale)
        scaler = self.scalers.setdefault((width, height), VideoReformatter())
        method = Interpolation.AREA if 2 * width <= frame.width else Interpolation.BICUBIC
        if short_edge is None:
            # FFmpeg's quick conversion loses up to 3 levels, too much for pictures that are kept.
            method |= Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
        image = scaler.reformat(frame, width, height, "bgr24", interpolation=method).to_ndarray()
        return self.facts.orientation.apply(np.asarray(image, np.uint8))


def iter_raw_frames(path: str, start_s: float = 0.0, end_s: float = float("inf")) -> Iterator[RawFrame]:
    """Every frame of a span as the decoder gives it; each is valid until the next is asked for.

    Raises:
        MediaError: as `timed_frames`.
    """
    facts = facts_of(path)
    scalers: dict[tuple[int, int] | None, VideoReformatter] = {}
    for timed in timed_frames(path, start_s, end_s):
        yield RawFrame(seconds(timed.ticks, facts), timed.ticks, timed.frame, facts, timed.damaged, scalers)


def iter_frames(
    path: str, start_s: float = 0.0, end_s: float = float("inf"), *, short_edge: int | None = None
) -> Iterator[Frame]:
    """Every frame of a span, scaled down so that its short edge is at most `short_edge` pixels.

    Raises:
        MediaError: as `timed_frames`.
    """
    for raw in iter_raw_frames(path, start_s, end_s):
        yield Frame(raw.time_s, raw.image(short_edge), raw.damaged)


def frame_times(path: str) -> list[float]:
    """When each frame of a file is shown, in seconds; without decoding where its packets tell.

    Raises:
        MediaError: the file cannot be opened or breaks off.
    """
    facts = facts_of(path)
    return [seconds(ticks, facts) for ticks in frame_ticks(path)]


def sample_frames(
    path: str, start_s: float, end_s: float, *, fps: float, short_edge: int | None = None
) -> Iterator[Frame]:
    """The span at a constant rate: for each tick `start_s + i / fps` the frame on screen at that time.

    Raises:
        MediaError: as `timed_frames`, or no frame is in the span.
    """
    ticks = int(np.floor((end_s - start_s) * fps + 1e-6))
    sent, shown = 0, None
    for frame in iter_frames(path, start_s, end_s, short_edge=short_edge):
        while shown is not None and sent < ticks and start_s + sent / fps < frame.time_s - SAME_FRAME_S:
            yield Frame(start_s + sent / fps, shown.image, shown.damaged)
            sent += 1
        shown = frame
    if shown is None:
        raise MediaError("undecodable", f"no frame between {start_s:.3f} s and {end_s:.3f} s")
    for tick in range(sent, ticks):
        yield Frame(start_s + tick / fps, shown.image, shown.damaged)
