"""Planning a run: cut long sources into bounded segments and leave out what is already committed.

Headers are read in helper processes, because a broken file may crash or hang the library that reads it. Such a file is
planned as one segment, and its fault shows in a worker, which may die.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context

from curation.clip.schema import Source
from curation.sources.headers import header_duration


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanningConfig:
    """How work is cut up."""

    max_segment_s: float = 120.0
    """A longer source becomes several units of work; bounds memory (a unit's clips travel in one piece)."""
    num_processes: int = 2
    """Helper processes that read headers."""
    cost_worker_s_per_video_s: float = 1.0
    """Wall seconds for which a second of video is estimated to keep a worker busy, in all stages together, until a run
    has measured it [bench/speed/curation.py]."""
    probe_timeout_s: float = 30.0
    """A file whose header takes longer is planned as one segment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CurationPlan:
    """What a run would do."""

    units: tuple[Source, ...]
    """Sources and segments still to be processed."""
    num_sources: int
    num_done: int
    """Units that are committed already."""
    duration_s: float
    """Seconds of video in `units` whose header could be read."""
    num_unknown: int
    """Units whose header could not be read."""
    seconds: tuple[float, ...] = ()
    """Seconds of video of each unit; 0 where its header could not be read."""


def plan_units(
    sources: Sequence[Source],
    committed: Collection[str],
    config: PlanningConfig,
    progress: Callable[[int], None] = lambda _: None,
) -> CurationPlan:
    """Read every header and lay out the units of work.

    Args:
        sources: what to process, one entry a video; those that have failed already are one unit each.
        committed: keys of the units that are in shards or quarantine already.
        config: see `PlanningConfig`.
        progress: called with the number of headers read so far.
    """
    durations = _durations([source.uri for source in sources if source.active], config, progress)
    segments = [
        segment for source in sources for segment in _segments(source, durations.get(source.uri), config.max_segment_s)
    ]
    units = tuple(unit for unit in segments if unit.key not in committed)
    known = [min(unit.segment_end_s, durations.get(unit.uri) or 0.0) - unit.segment_start_s for unit in units]
    seconds = tuple(max(0.0, each) for each in known)
    return CurationPlan(
        units=units,
        num_sources=len(sources),
        num_done=len(segments) - len(units),
        duration_s=sum(seconds),
        seconds=seconds,
        num_unknown=sum(durations.get(unit.uri) is None for unit in units),
    )


def _segments(source: Source, duration_s: float | None, max_segment_s: float) -> list[Source]:
    count = max(1, math.ceil((duration_s or 0.0) / max_segment_s))
    edges = [(duration_s or 0.0) * index / count for index in range(count)] + [math.inf]
    return [
        replace(source, segment=index, segment_start_s=edges[index], segment_end_s=edges[index + 1])
        for index in range(count)
    ]


def _durations(uris: Sequence[str], config: PlanningConfig, progress: Callable[[int], None]) -> dict[str, float | None]:
    """Seconds of each file, None where its header could not be read in time."""
    durations: dict[str, float | None] = {}
    waiting = list(uris)
    while waiting:
        pool = ProcessPoolExecutor(min(config.num_processes, len(waiting)), get_context("spawn"))
        futures = [(uri, pool.submit(header_duration, uri)) for uri in waiting]
        try:
            for uri, future in futures:
                durations[uri] = future.result(timeout=config.probe_timeout_s)
                progress(len(durations))
        except (TimeoutError, BrokenProcessPool):
            # The first file without an answer is the likeliest culprit: give it up and go on with the others.
            durations[uri] = None
            for process in list(pool._processes.values()):
                process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
        waiting = [uri for uri in waiting if uri not in durations]
    return durations
