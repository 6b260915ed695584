"""Planning a run: what is done is left out, what is left is cut into bounded segments.

A header is read only of a source that has work left, and only once: what was read is kept. A file whose header cannot
be read is planned as one segment, and its fault shows in a worker, which may die. A file that could not be reached is
not planned at all, because a source that was cut wrongly would stay so.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import overload

import numpy as np

from curation.clip.schema import Source
from curation.shards.done_units import Done, DonePart
from curation.sources.header_cache import HeaderCache
from curation.sources.header_readers import HeaderFile, read_headers
from curation.sources.headers import Header

ReadHeaders = Callable[[Sequence[HeaderFile]], Iterator[tuple[HeaderFile, Header]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanningConfig:
    """How work is cut up."""

    max_segment_s: float = 120.0
    """A longer source becomes several units of work; bounds memory (a unit's clips travel in one piece)."""
    num_processes: int = 4
    """Helper processes that read headers, here and in each task of a cluster. With a store, they mostly wait."""
    cost_worker_s_per_video_s: float = 1.0
    """Wall seconds for which a second of video is estimated to keep a worker busy, in all stages together, until a run
    has measured it [bench/speed/curation.py]."""
    probe_timeout_s: float = 30.0
    """A file whose header takes longer is planned as one segment."""

    def __post_init__(self) -> None:
        """Refuse to read headers with no process."""
        if self.num_processes < 1:
            raise ValueError("num_processes must be at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which of the sources that are still to do a run takes up, and in which order."""

    part: tuple[int, int] | None = None
    """The i-th of n parts, counted from 1; a source's name decides which part it is of."""
    seed: int | None = None
    """Of the random order; None for the order of names."""
    limit: int | None = None
    """Sources at most."""

    def in_part(self, uri: str) -> bool:
        """Whether a source is of the part."""
        return self.part is None or _number("part", uri) % self.part[1] == self.part[0] - 1

    def ordered(self, sources: list[Source]) -> list[Source]:
        """The sources in the order of work; new ones never change the order of the others."""
        if self.seed is None:
            return sources
        return sorted(sources, key=lambda source: _number(f"order {self.seed}", source.uri))


@dataclass(frozen=True, kw_only=True, slots=True)
class CurationPlan:
    """What a run would do."""

    units: Sequence[Source]
    """Sources and segments still to be processed."""
    num_sources: int
    """Those of the part that was asked for; all, where none was."""
    num_done: int
    """Units that are committed already."""
    duration_s: float
    """Seconds of video in `units` whose header could be read."""
    num_unknown: int
    """Units whose header could not be read."""
    seconds: Sequence[float] = ()
    """Seconds of video of each unit; 0 where its header could not be read."""
    unreachable: Mapping[str, int] = field(default_factory=dict)
    """Why sources could not be reached, which are therefore left to another run, and how many."""
    num_in_other_parts: int = 0
    """Sources that are of another part than the one that was asked for."""
    num_beyond_limit: int = 0
    """Sources that were not looked at, because those before them are as many as were asked for."""
    num_again: int = 0
    """Units that have failed before and are done again. One that is cut into several now counts once."""


class Units(Sequence[Source]):
    """Units of work, each made when it is asked for: a million of them would take a gigabyte."""

    def __init__(self, sources: Sequence[Source], cuts: Sequence[_Cut]) -> None:
        """Args:
        sources: that have work left.
        cuts: how each of them is cut, and which of its segments are left.
        """
        self._sources, self._cuts = sources, cuts
        self._ends = np.cumsum([len(cut.left) for cut in cuts])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, index: int) -> Source: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Source]: ...
    def __getitem__(self, index: int | slice) -> Source | Sequence[Source]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(index)
        number = int(np.searchsorted(self._ends, place, side="right"))
        cut = self._cuts[number]
        return cut.unit(self._sources[number], cut.left[place - int(self._ends[number])])

    def __iter__(self) -> Iterator[Source]:
        for source, cut in zip(self._sources, self._cuts, strict=True):
            for segment in cut.left:
                yield cut.unit(source, segment)


@dataclass(frozen=True, slots=True)
class _Cut:
    """How a source is cut."""

    duration_s: float | None
    """None where its header cannot be read."""
    num_segments: int
    left: Sequence[int]
    """The segments that are not done."""
    lost: bool = False
    """Whether it was cut by a header that can no longer be read."""
    replaces: Mapping[int, str] = field(default_factory=dict)
    """The shards that have rows of segments that are done again."""

    @classmethod
    def of(cls, duration_s: float | None, max_segment_s: float) -> _Cut:
        count = max(1, math.ceil((duration_s or 0.0) / max_segment_s))
        return _WHOLE if duration_s is None else cls(duration_s, count, range(count))

    def unit(self, source: Source, segment: int) -> Source:
        """A segment of the source."""
        if self.lost:
            detail = "its header can no longer be read, so what is left of it cannot be cut as it was before"
            source = source.fail("probe", "unreadable", detail)
        is_last = segment == self.num_segments - 1
        return replace(
            source,
            segment=segment,
            num_segments=self.num_segments,
            segment_start_s=self._edge_s(segment),
            segment_end_s=math.inf if is_last else self._edge_s(segment + 1),
            replaces=self.replaces.get(segment),
        )

    def seconds(self, segment: int) -> float:
        """Of video in a segment, as the header says."""
        is_last = segment == self.num_segments - 1
        end_s = (self.duration_s or 0.0) if is_last else self._edge_s(segment + 1)
        return max(0.0, end_s - self._edge_s(segment))

    def _edge_s(self, segment: int) -> float:
        return (self.duration_s or 0.0) * segment / self.num_segments


_WHOLE = _Cut(None, 1, range(1))


def plan_units(
    sources: Sequence[Source],
    done: Done | Collection[str],
    config: PlanningConfig,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
    *,
    selection: Selection | None = None,
    cache: HeaderCache | None = None,
    read: ReadHeaders | None = None,
) -> CurationPlan:
    """Leave out what is done, read the headers of what is left, and lay out the units of work.

    Args:
        sources: what to process, one entry a video; those that have failed already are one unit each.
        done: what is in shards or quarantine already, or the keys of these units.
        config: see `PlanningConfig`.
        progress: called with the number of headers read so far, and of those that are to be read.
        selection: which of the sources are taken; by default all, in the order of their names.
        cache: of headers that were read before; gets those that are read now.
        read: reads headers; by default helper processes here do.
    """
    selection, done = selection or Selection(), done if isinstance(done, Done) else Done(keys=done)
    headers = _Headers(config, progress, cache, read, again=done.again)
    chosen = [source for source in sources if selection.in_part(source.uri)]
    done_units = done.units_of([source.uri for source in chosen])
    num_done, looked_at = int(done_units.sum()), 0
    left, cuts = list[Source](), list[_Cut]()
    waiting = selection.ordered([chosen[index] for index in np.flatnonzero(done_units == 0)])
    num_waiting = len(waiting)
    try:
        while looked_at < num_waiting and (selection.limit is None or len(left) < selection.limit):
            most = num_waiting if selection.limit is None else selection.limit - len(left)
            looking = waiting[looked_at : looked_at + most]
            looked_at += len(looking)
            for source, header in zip(looking, headers.of(looking), strict=True):
                if header is None:
                    continue
                cut = _cut(source, header, done, config.max_segment_s)
                num_done += cut.num_segments - len(cut.left)
                if cut.left:
                    left.append(source)
                    cuts.append(cut)
    finally:
        headers.close()
    seconds = tuple(cut.seconds(segment) for cut in cuts for segment in cut.left)
    return CurationPlan(
        units=Units(left, cuts),
        num_sources=len(chosen),
        num_done=num_done,
        duration_s=sum(seconds),
        seconds=seconds,
        num_unknown=sum(len(cut.left) for cut in cuts if cut.duration_s is None),
        unreachable=dict(headers.faults.most_common()),
        num_in_other_parts=len(sources) - len(chosen),
        num_beyond_limit=num_waiting - looked_at,
        num_again=sum(len(cut.replaces) for cut in cuts),
    )


def _cut(source: Source, duration_s: float, done: Done, max_segment_s: float) -> _Cut:
    """How a source is cut: as it was, where some of it is done."""
    known = None if math.isnan(duration_s) else duration_s
    cut = _Cut.of(known, max_segment_s)
    part = done.parts.get(source.uri, DonePart(None, frozenset()))
    if part.num_segments is not None:
        cut = _Cut(known, part.num_segments, range(part.num_segments), lost=known is None and part.num_segments > 1)
    if not part.units and not done.keys and not done.again:
        return cut
    keys = {segment: replace(source, segment=segment).key for segment in cut.left}
    left = [segment for segment, key in keys.items() if key not in part.units and key not in done.keys]
    again = {segment: done.again[keys[segment]] for segment in left if keys[segment] in done.again}
    return replace(cut, left=left, replaces=again)


class _Headers:
    """The durations of files, out of the cache or read now."""

    def __init__(
        self,
        config: PlanningConfig,
        progress: Callable[[int, int], None],
        cache: HeaderCache | None,
        read: ReadHeaders | None,
        *,
        again: Collection[str],
    ) -> None:
        self.faults: Counter[str] = Counter()
        """Why files could not be reached."""
        self._config, self._progress, self._cache = config, progress, cache
        self._read = read or self._read_here
        self._again = again

    def of(self, sources: Sequence[Source]) -> Iterable[float | None]:
        """The duration of each in seconds; NaN where its header cannot be read, None where it cannot be reached.

        A source that has failed already is not read.
        """
        files = [HeaderFile(source.uri, source.size, source.stamp) for source in sources]
        durations: list[float | None] = [math.nan] * len(sources)
        if self._cache is not None:
            known, values = self._cache.find(files)
            durations = values.tolist()
            if self._again:
                # That a header could not be read is what is tried again.
                for index in np.flatnonzero(known & np.isnan(values)).tolist():
                    known[index] = replace(sources[index], segment=0).key not in self._again
        else:
            known = np.zeros(len(sources), bool)
        unread = [index for index in np.flatnonzero(~known).tolist() if sources[index].active]
        places = {files[index].uri: index for index in unread}
        wanted = [files[index] for index in unread]
        del files
        for number, (file, header) in enumerate(self._read(wanted) if wanted else (), start=1):
            self._progress(number, len(wanted))
            if self._cache is not None:
                self._cache.add(file, header)
            if header.fault is not None:
                self.faults[header.fault] += 1
                durations[places[file.uri]] = None
            elif header.duration_s is not None:
                durations[places[file.uri]] = header.duration_s
        return durations

    def close(self) -> None:
        """Keep what was read, also when planning is interrupted."""
        if self._cache is not None:
            self._cache.close()

    def _read_here(self, files: Sequence[HeaderFile]) -> Iterator[tuple[HeaderFile, Header]]:
        return read_headers(files, num_helpers=self._config.num_processes, timeout_s=self._config.probe_timeout_s)


def _number(purpose: str, uri: str) -> int:
    """A number that only a purpose and a name decide."""
    digest = hashlib.blake2b(f"{purpose}\n{uri}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest)
