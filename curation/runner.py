"""Taking one source through some stages in this process: probing, timing, and failures made into records."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from curation.clip.schema import Media, Source
from curation.media import MediaError, probe
from curation.sources.node_copies import NodeCopies
from curation.stage import Stage
from infra.jobs.machine_fault import machine_fault
from infra.jobs.unit_log import in_stage
from infra.storage.files import NotAFileError, local_copy

RULES: dict[type[OSError], str] = {
    FileNotFoundError: "missing",
    NotADirectoryError: "missing",
    PermissionError: "no_permission",
    NotAFileError: "not_a_file",
    IsADirectoryError: "not_a_file",
}
"""Why a source could not be opened; anything else is `unreadable`."""


def _ignore(_: Source) -> None:
    """Looks at no source."""


class StageRunner:
    """Runs a fixed list of named stages over sources; as many threads may use one as its stages bear."""

    def __init__(
        self,
        stages: Sequence[tuple[str, Stage]],
        *,
        raise_bugs: bool = False,
        copies: NodeCopies | None = None,
        is_last: bool = True,
    ) -> None:
        """Args:
        stages: names and stages in order.
        raise_bugs: let unexpected exceptions out (for debugging) instead of quarantining the source.
        copies: the copies of remote sources on this node; None to fetch each source anew.
        is_last: whether no other runner takes the sources further.
        """
        self.stages = tuple(stages)
        self.raise_bugs = raise_bugs
        self.copies = copies
        self.is_last = is_last

    def run(self, source: Source, *, after_stage: Callable[[Source], None] = _ignore) -> Source:
        """The source after all stages, or failed with the reason; never raises for bad data.

        Args:
            source: on its way.
            after_stage: called with the source after each stage.

        Raises:
            Exception: the machine is at fault (`machine_fault`), and the source is not judged.
        """
        if not source.active:
            return source
        try:
            with self._local(source) as path:
                return self._run_stages(source, path, after_stage)
        except OSError as error:
            if machine_fault(error) is not None:
                raise
            rule = next((rule for kind, rule in RULES.items() if isinstance(error, kind)), "unreadable")
            return source.fail("probe", rule, str(error))

    def _local(self, source: Source) -> AbstractContextManager[str]:
        if self.copies is None:
            return local_copy(source.uri)
        is_whole = source.segment == 0 and math.isinf(source.segment_end_s)
        return self.copies.open(source.uri, last_use=self.is_last and is_whole)

    def _run_stages(self, source: Source, path: str, after_stage: Callable[[Source], None]) -> Source:
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
            after_stage(source)
        return replace(source, stage_seconds=seconds)

    def _apply(self, name: str, stage: Stage, source: Source) -> Source:
        try:
            return stage(source)
        except MediaError as error:
            if machine_fault(error) is not None:
                raise
            return source.fail(name, error.rule, error.detail)
        except Exception as error:  # one source's bug must not end a run over a million
            if self.raise_bugs or machine_fault(error) is not None:
                raise
            return source.fail(name, "internal_error", traceback.format_exc())


def _open(source: Source, path: str) -> Source:
    try:
        return replace(source, media=Media(path=path, info=probe(path)))
    except MediaError as error:
        if machine_fault(error) is not None:
            raise
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
        with in_stage(name):
            yield
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
