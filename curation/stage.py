"""What a stage is: a callable over clips, or over whole sources where clips are made or compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from curation.clip.schema import Clip, Source


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

    def __init__(self, stage: ClipStage) -> None:
        self.stage = stage

    def __call__(self, source: Source) -> Source:
        """Apply the stage clip by clip; rejected clips pass unchanged."""
        return replace(source, clips=tuple(self.stage(clip) if clip.kept else clip for clip in source.clips))


class InOrder:
    """Several stages under one name: they share its time and its place in the order."""

    def __init__(self, *stages: Stage) -> None:
        self.stages = stages

    def __call__(self, source: Source) -> Source:
        """Apply one after the other."""
        for stage in self.stages:
            source = stage(source)
        return source
