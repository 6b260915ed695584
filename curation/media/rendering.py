"""From pictures as they are stored to pictures as they are seen: whole frames, BT.709, standard dynamic range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import av
from av.filter import Graph

from curation.media.colour import mapping_filters, tag
from curation.media.errors import MediaError
from curation.media.facts import Facts
from curation.media.timed_frame import TimedFrame

_MARKED = "parity=auto:deint=interlaced"
"""Frames that are progressive within an interlaced stream pass unchanged."""


class Rendering:
    """Deinterlaces and maps colours where a stream needs it; otherwise frames pass as they are, tagged."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._graph: Graph | None = None
        self._damaged: dict[int, bool] = {}
        self._steps = mapping_filters(facts.colour) if facts.colour.needs_mapping else []
        self._all_interlaced = facts.interlaced and not facts.fields_marked

    def apply(self, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        """The same frames at the same times, ready to be looked at.

        Raises:
            MediaError: a frame has another size than the first.
        """
        last: TimedFrame | None = None
        for timed in frames:
            if (timed.frame.width, timed.frame.height) != self.facts.stored_size:
                width, height = self.facts.stored_size
                raise MediaError(
                    "picture_changes", f"from {width}x{height} to {timed.frame.width}x{timed.frame.height} on the way"
                )
            tag(timed.frame, self.facts.container_tags)
            last = timed
            interlaced = self._all_interlaced or timed.frame.interlaced_frame
            if self._graph is None and not self._steps and not interlaced:
                yield timed
                continue
            yield from self._filtered(timed)
        if self._graph is not None and last is not None:
            self._graph.vpush(None)
            yield from self._pulled(last)

    def _filtered(self, timed: TimedFrame) -> Iterator[TimedFrame]:
        if self._graph is None:
            self._graph = self._build(timed.frame)
        timed.frame.pts, timed.frame.time_base = timed.ticks, self.facts.time_base
        self._damaged[timed.ticks] = timed.damaged
        self._graph.vpush(timed.frame)
        yield from self._pulled(timed)

    def _build(self, frame: av.video.frame.VideoFrame) -> Graph:
        graph = Graph()
        nodes = [
            graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=self.facts.time_base
            )
        ]
        fields = f"parity={self.facts.field_order[0]}ff:deint=all" if self._all_interlaced else _MARKED
        # One frame out for each frame in.
        steps = [("bwdif", f"mode=send_frame:{fields}"), *self._steps]
        nodes += [graph.add(name, arguments) for name, arguments in steps]
        graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        return graph

    def _pulled(self, like: TimedFrame) -> Iterator[TimedFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert frame.pts is not None, "every frame that was put in had its time"
            assert frame.time_base is not None
            ticks = round(frame.pts * frame.time_base / self.facts.time_base)
            tag(frame, self.facts.container_tags)
            yield replace(like, ticks=ticks, frame=frame, damaged=self._damaged.pop(ticks, False))
