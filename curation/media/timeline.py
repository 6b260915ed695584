"""Pictures with their times: every frame of a span once, in order, as the stream has them.

A seek does not always land where it should: in MPEG-TS it lands anywhere, often after the key frame that was wanted. So
the first frame after a seek is checked. While it lies after the span's start, decoding starts anew from further back.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from typing import Final

import av

from curation.media.errors import MediaError
from curation.media.facts import Facts, facts_of
from curation.media.rendering import Rendering
from curation.media.streams import open_media, packets_of, ready
from curation.media.timed_frame import TimedFrame

SAME_FRAME_S: Final = 1e-4
"""Two times closer than this are the same frame: far below any frame period, above float rounding."""
_STEPS_BACK_S: Final = (0.0, 2.0, 10.0, 60.0)
"""How far before the span a seek is tried; then the file is read from its beginning."""

_MAX_SKIPPED_S: Final = 1.0
"""How much further on a span may begin for the last one's pass to be taken up: with more between them, a seek may land
on a later key frame."""
_MAX_JOINT_S: Final = 1.0
"""Times that step back by less than this are those of two recordings joined. After a larger step the order is
unknown."""
_MAX_GAP_S: Final = 60.0
"""No picture is shown for longer than this. A paused recording or a damaged clock may leave days between two
pictures."""
_MAX_JOINTS_SHARE: Final = 0.01
"""Share of the frames that may follow a step back, besides a single one. More of them mean that the times are not in
the order in which the frames are shown."""


def timed_frames(path: str, start_s: float = 0.0, end_s: float = float("inf")) -> Iterator[TimedFrame]:
    """Frames with `start_s <= time < end_s` in order of time; an undecodable packet marks the next frame as damaged.

    A file that breaks off simply ends: compare the last time with the duration that the file claims.

    Raises:
        MediaError: the file cannot be opened, its pictures change size on the way, or their times go back or jump.
    """
    facts = facts_of(path)
    decoded = _left_off.taken_up(facts, start_s) or _Pass(path, facts, start_s)
    yield from decoded.span(start_s, end_s)
    _left_off.decoded = decoded if decoded.held is not None else None


def frame_ticks(path: str) -> list[int]:
    """When each frame of a file is shown, read from its packets where they tell, in the stream's time base.

    Raises:
        MediaError: the file cannot be opened or breaks off.
    """
    facts = facts_of(path)
    if facts.counted:
        return [timed.ticks for timed in timed_frames(path)]
    with open_media(path) as container:
        try:
            packets = list(packets_of(container, container.streams[facts.video_index]))
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError("undecodable", str(error)) from error
    shown = {packet.pts - facts.origin for packet in packets if packet.pts is not None and not packet.is_discard}
    return sorted(ticks for ticks in shown if ticks >= 0)


def file_end_s(path: str) -> float:
    """How far a file goes, in seconds after its first picture: the end of its last packet, of picture or sound.

    Raises:
        MediaError: the file cannot be opened.
    """
    facts = facts_of(path)
    end = facts.origin_s
    with open_media(path) as container:
        try:
            for packet in packets_of(container, *container.streams.video, *container.streams.audio):
                time = packet.dts if packet.pts is None else packet.pts
                if time is not None:
                    end = max(end, (time + (packet.duration or 0)) * Fraction(packet.time_base))
        except (av.error.FFmpegError, ValueError):
            pass  # the file breaks off: it ends here
    return float(end - facts.origin_s)


def seconds(ticks: int, facts: Facts) -> float:
    """Ticks since the first picture as seconds."""
    # The same as a product of fractions, which takes several times as long and is asked for at every frame.
    return ticks * facts.time_base.numerator / facts.time_base.denominator


class _Pass:
    """One decode of a file, of which spans are taken one after the other."""

    def __init__(self, path: str, facts: Facts, start_s: float) -> None:
        self.facts = facts
        self.held: TimedFrame | None = None
        """The first frame after the last span; None as long as no span has ended before the file."""
        self.end_s = 0.0
        """Where the last span ended."""
        self._frames = _from(path, facts, start_s)

    def span(self, start_s: float, end_s: float) -> Iterator[TimedFrame]:
        """The frames of a span that does not begin before the end of the last one."""
        while True:
            timed = next(self._frames, None) if self.held is None else self.held
            self.held = None
            if timed is None:
                return
            time_s = seconds(timed.ticks, self.facts)
            if time_s >= end_s - SAME_FRAME_S:
                self.held, self.end_s = timed, end_s
                return
            if time_s >= start_s - SAME_FRAME_S:
                yield timed


class _LeftOff(threading.local):
    """The pass in which a thread has last read a span to its end.

    The clips of a source follow on one another, and a key frame comes only every few seconds: to begin each clip at the
    key frame before it would decode half as many frames again.
    """

    decoded: _Pass | None = None

    def taken_up(self, facts: Facts, start_s: float) -> _Pass | None:
        """The pass, if it goes on to this span of the same file; it is forgotten otherwise."""
        decoded, self.decoded = self.decoded, None
        if decoded is None or decoded.facts is not facts:
            return None
        return decoded if 0 <= start_s - decoded.end_s + SAME_FRAME_S <= _MAX_SKIPPED_S else None


_left_off = _LeftOff()


def _from(path: str, facts: Facts, start_s: float) -> Iterator[TimedFrame]:
    """All frames in order, from one that is not after a time on."""
    order = _Order(facts)
    # Times that are counted are counted from the first packet, so there is no seeking.
    for step_s in _STEPS_BACK_S if start_s > 0 and not facts.counted else ():
        with open_media(path) as container:
            decoding = _Decoding(container, facts)
            if not decoding.seek(start_s - step_s):
                continue
            frames = decoding.frames()
            # Frames before the first key frame were decoded without the pictures that they refer to.
            first = next((timed for timed in frames if timed.stands_alone), None)
            if first is not None and seconds(first.ticks, facts) <= start_s + SAME_FRAME_S:
                yield from order.of(chain([first], frames))
                return
    with open_media(path) as container:
        yield from order.of(_Decoding(container, facts).frames())


class _Order:
    """Puts the frames that are decoded in order, and fails where they are not one sequence of pictures."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def of(self, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        """The frames in order of time, each once.

        Where two recordings are joined with overlapping times, the pictures of the second that fall into the time of
        the first are left out; the sound of the second is laid over that of the first.
        """
        latest, before = -1, -1
        num_steps_back = 0
        for num_frames, timed in enumerate(Rendering(self.facts).apply(self._one_alone_put_back(frames)), 1):
            if timed.ticks < before:
                num_steps_back += 1
                self._check_step_back(before, timed.ticks, num_steps_back, num_frames)
            elif num_frames > 1 and seconds(timed.ticks - before, self.facts) > _MAX_GAP_S:
                raise MediaError("times_jump", self._step(before, timed.ticks))
            before = timed.ticks
            if timed.ticks > latest:
                latest = timed.ticks
                yield timed

    def _one_alone_put_back(self, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        """The same frames; a single one whose time runs ahead of the following ones is put between its neighbours.

        FFmpeg gives such a time where the clock of a program stream begins anew.
        """
        before: int | None = None
        held: TimedFrame | None = None
        for timed in frames:
            if held is not None:
                if before is not None and before < timed.ticks < held.ticks:
                    alone = held.ticks - before > 2 * self.facts.period
                    held = replace(held, ticks=(before + timed.ticks) // 2) if alone else held
                yield held
                before = held.ticks
            held = timed
        if held is not None:
            yield held

    def _check_step_back(self, before: int, after: int, num_steps_back: int, num_frames: int) -> None:
        step_s = seconds(before - after, self.facts)
        if step_s > _MAX_JOINT_S or num_steps_back > 1 + num_frames * _MAX_JOINTS_SHARE:
            raise MediaError("times_go_back", self._step(before, after))

    def _step(self, before: int, after: int) -> str:
        return f"from {seconds(before, self.facts):.3f} s to {seconds(after, self.facts):.3f} s"


class _Decoding:
    """One pass of a decoder over the packets of the video stream."""

    def __init__(self, container: av.container.InputContainer, facts: Facts) -> None:
        self.container, self.facts = container, facts
        self.stream = container.streams[facts.video_index]
        ready(self.stream)
        self.damaged = False
        self.last: int | None = None
        self._waiting: deque[int | None] = deque()
        """Decoding times of the packets whose pictures have not come out of the decoder yet."""

    def seek(self, time_s: float) -> bool:
        """Go to a time, or to where the container takes it to be; returns whether the container can seek."""
        position = int((Fraction(time_s) + self.facts.origin_s) / self.facts.time_base)
        try:
            self.container.seek(position, stream=self.stream)
        except (av.error.FFmpegError, ValueError):
            return False
        return True

    def frames(self) -> Iterator[TimedFrame]:
        """All pictures from here on in the order in which they are shown."""
        packets = packets_of(self.container, self.stream)
        while True:
            try:
                packet = next(packets)
                if packet.size:
                    self._waiting.append(packet.dts)
                decoded = packet.decode()
            except (StopIteration, av.error.EOFError, EOFError):
                return
            except (av.error.FFmpegError, ValueError):
                self.damaged = True
                if self._waiting:
                    self._waiting.popleft()
                continue
            for frame in decoded:
                yield self._timed(frame)

    def _timed(self, frame: av.video.frame.VideoFrame) -> TimedFrame:
        place = self._waiting.popleft() if self._waiting else None
        time = place if self.facts.counted else frame.pts
        if time is not None:
            ticks = time - self.facts.origin
            ticks = ticks if self.facts.pace == 1 else round(ticks * self.facts.pace)
        else:
            ticks = 0 if self.last is None else self.last + self.facts.period
        timed = TimedFrame(ticks, frame, self.damaged or frame.is_corrupt)
        self.last, self.damaged = ticks, False
        return timed
