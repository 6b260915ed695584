"""Taking one source through some stages in this process: probing, timing, and failures made into records."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from curation.media import MediaError, probe
from curation.schema import Media, Source
from curation.stage import Stage
from curation.storage import local_copy


class StageRunner:
    """Runs a fixed list of named stages over sources."""

    def __init__(self, stages: Sequence[tuple[str, Stage]], *, raise_bugs: bool = False) -> None:
        """Args:
        stages: names and stages in order.
        raise_bugs: let unexpected exceptions out (for debugging) instead of quarantining the source.
        """
        self.stages = tuple(stages)
        self.raise_bugs = raise_bugs

    def run(self, source: Source) -> Source:
        """The source after all stages, or failed with the reason; never raises for bad data."""
        if not source.active:
            return source
        try:
            with local_copy(source.uri) as path:
                return self._run_stages(source, path)
        except OSError as error:
            rule = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
            return source.fail("probe", rule, str(error))

    def _run_stages(self, source: Source, path: str) -> Source:
        seconds = dict(source.stage_seconds)
        if source.media is None:
            with _timed(seconds, "probe"):
                source = _open(source, path)
        else:
            source = _relocate(source, path)
        for name, stage in self.stages:
            if not source.active:
                break
            with _timed(seconds, name):
                source = self._apply(name, stage, source)
        return replace(source, stage_seconds=seconds)

    def _apply(self, name: str, stage: Stage, source: Source) -> Source:
        try:
            return stage(source)
        except MediaError as error:
            return source.fail(name, error.rule, error.detail)
        except Exception:  # one source's bug must not end a run over a million
            if self.raise_bugs:
                raise
            return source.fail(name, "internal_error", traceback.format_exc())


def _open(source: Source, path: str) -> Source:
    try:
        return replace(source, media=Media(path=path, info=probe(path)))
    except MediaError as error:
        return source.fail("probe", error.rule, error.detail)


def _relocate(source: Source, path: str) -> Source:
    """Point the source and its clips at this machine's copy of the file."""
    assert source.media is not None
    if source.media.path == path:
        return source
    media = replace(source.media, path=path)
    return replace(source, media=media, clips=tuple(replace(clip, media=media) for clip in source.clips))


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
