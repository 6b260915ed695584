"""What a stage is: a callable over clips, or over whole sources where clips are made or compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from curation.clip.schema import Clip, Source
from infra.jobs.deadlines import sign_of_life


class Stage(Protocol):
    """Changes a source; never raises for bad data, never drops a clip."""

    def __call__(self, source: Source) -> Source:
        """The source with this stage's scores and decisions."""
        ...


class ClipStage(Protocol):
    """Changes one clip; sees only clips that no earlier stage rejected."""

    def __call__(self, clip: Clip) -> Clip:
        """The clip with this stage's scores and decisions."""
        ...


class EachClip:
    """Lift a `ClipStage` to sources: apply it to every clip that is still kept."""

    def __init__(self, stage: ClipStage, *, in_flight: int = 1) -> None:
        """Args:
        stage: what is done to one clip; it must bear calls from several threads if `in_flight` is above 1.
        in_flight: clips in work at a time, in threads: for stages that wait for a server or a GPU.
        """
        self.stage = stage
        self.in_flight = in_flight

    def __call__(self, source: Source) -> Source:
        """Apply the stage clip by clip; rejected clips pass unchanged."""
        kept = [clip for clip in source.clips if clip.kept]
        if self.in_flight == 1 or len(kept) < 2:
            changed = _alive(map(self.stage, kept))
        else:
            with ThreadPoolExecutor(min(self.in_flight, len(kept))) as threads:
                changed = _alive(threads.map(self.stage, kept))
        return replace(source, clips=tuple(next(changed) if clip.kept else clip for clip in source.clips))


def _alive(clips: Iterable[Clip]) -> Iterator[Clip]:
    """The clips, with a sign of life for each: a source may have many, and a model seconds to minutes for each."""
    done = []
    for clip in clips:
        sign_of_life()
        done.append(clip)
    return iter(done)


class InOrder:
    """Several stages under one name: they share its time and its place in the order."""

    def __init__(self, *stages: Stage) -> None:
        self.stages = stages

    def __call__(self, source: Source) -> Source:
        """Apply one after the other."""
        for stage in self.stages:
            source = stage(source)
        return source
