"""A picture of a stream and when it is shown."""

from __future__ import annotations

from dataclasses import dataclass

import av


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A decoded picture at its time; once rendered it is progressive and BT.709 with its range and matrix tagged."""

    ticks: int
    """Since the first picture, in the stream's time base."""
    frame: av.video.frame.VideoFrame
    damaged: bool
    """The decoder had to invent part of it, or the packet before it could not be decoded."""

    @property
    def stands_alone(self) -> bool:
        """Whether it needs no other picture, and has a time of its own."""
        return bool(self.frame.key_frame) and self.frame.pts is not None
