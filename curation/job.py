"""Curation as a job: sources pass the pipeline's stages and are packed into shards."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from curation.clip.schema import Source
from curation.pipeline import STAGES, CurationConfig, build_stages
from curation.runner import StageRunner
from curation.shards.run_directory import RunDirectory, ShardWriter
from curation.shards.settings import remember_settings
from curation.sources.node_copies import NodeCopies
from curation.stage import Stage
from infra.jobs.job import About, Alive
from infra.jobs.placement import ExecutionConfig
from infra.jobs.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class CurationJob:
    """What `make curate` runs; a unit is a source or a bounded segment of one."""

    run: str
    """The run directory."""
    config: CurationConfig
    num_done: int = 0
    """Units that earlier runs have done."""
    session: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Fences off an earlier run on the same directory that is still alive."""

    @property
    def name(self) -> str:
        """Curation."""
        return "curation"

    @property
    def about(self) -> About:
        """The run, its settings, and where copies of remote sources lie."""
        return About(
            run=self.run, settings=self.config.hash, num_done=self.num_done,
            scratch=self.config.fetching.directory or "",
        )  # fmt: skip

    @property
    def execution(self) -> ExecutionConfig:
        """Placement and limits."""
        return self.config.execution

    @property
    def stages(self) -> tuple[str, ...]:
        """The pipeline's stages."""
        return tuple(STAGES)

    @property
    def units_per_commit(self) -> int:
        """How many sources share a shard."""
        return self.config.shards.sources_per_shard

    def open(self) -> None:
        """Take the shards over, and write down the settings that decide."""
        RunDirectory(self.run).open_session(self.session)
        remember_settings(self.run, self.config.hash, self.config.deciding)

    def tidy(self) -> None:
        """Bring the index of the shards up to date; next to nothing when there is nothing to do.

        Raises:
            TakenOverError: another run has started on the directory.
            OSError: the store or the disk fails; nothing is lost by that.
        """
        RunDirectory(self.run).tidy(self.session)

    def key(self, unit: Source) -> str:
        """The source's own key."""
        return unit.key

    def worker(
        self,
        stages: Sequence[str],
        *,
        debug: bool,
        units_in_flight: int = 1,  # noqa: ARG002 (what a source needs is its own, and the copies take turns)
    ) -> CurationWorker:
        """Load the backends of some stages."""
        return CurationWorker(
            build_stages(self.config, stages),
            copies=NodeCopies(self.config.fetching, self.session),
            is_last=stages[-1] == self.stages[-1],
            debug=debug,
        )

    def give_up(self, unit: Source, detail: str) -> Source:
        """The source, failed: it will be quarantined."""
        return unit.fail("worker", "crashed", detail)

    def commit(self, units: Sequence[Source]) -> Progress:
        """Write the sources' shards."""
        shards = ShardWriter(self.run, self.config.shards, self.config.decided_by, self.session).write(units)
        progress = Progress(commits=len(shards))
        for unit in units:
            progress.merge(progress_of(unit))
        return progress


def progress_of(source: Source) -> Progress:
    """What a source that has passed the last stage adds to the totals."""
    progress = Progress(units=1, video_s=_seconds(source))
    decision = source.failure or source.rejection
    if source.failure is not None:
        progress.failed = 1
        problem = f"{source.failure.stage}/{source.failure.rule}: {source.failure.detail.strip()}"
        progress.failures[source.key] = problem.splitlines()[-1 if source.failure.rule == "internal_error" else 0]
    if decision is not None:
        progress.rejected[f"{decision.stage}/{decision.rule}"] += 1
        return progress
    kept = [clip for clip in source.clips if clip.kept]
    progress.clips, progress.kept = len(source.clips), len(kept)
    progress.crops = sum(clip.parent_key is not None for clip in source.clips)
    progress.kept_video_s = sum(clip.end_s - clip.start_s for clip in kept)
    progress.num_bytes = sum(clip.payload.num_bytes for clip in kept if clip.payload is not None)
    decisions = [clip.rejection for clip in source.clips if clip.rejection is not None]
    progress.rejected.update(f"{decision.stage}/{decision.rule}" for decision in decisions)
    return progress


def _seconds(source: Source) -> float:
    """Seconds of the video, or of its segment; 0 where it could not be opened."""
    if source.media is None:
        return 0.0
    return max(0.0, min(source.segment_end_s, source.media.info.duration_s) - source.segment_start_s)


class CurationWorker:
    """Takes sources through some stages, with a sign of life for every clip that they make.

    Several threads may use it at once, each for a source of its own.
    """

    def __init__(
        self, stages: Sequence[tuple[str, Stage]], *, copies: NodeCopies | None, is_last: bool, debug: bool
    ) -> None:
        self.runner = StageRunner(stages, raise_bugs=debug, copies=copies, is_last=is_last)

    def run(self, unit: Source, alive: Alive) -> Source:
        """The source after the stages."""
        signs = ClipSigns(alive)
        signs.give(unit)
        return self.runner.run(unit, after_stage=signs.give)


class ClipSigns:
    """The signs of life of one source: one for every clip that is there and has had none."""

    def __init__(self, alive: Alive) -> None:
        self.alive = alive
        self.given = 0

    def give(self, source: Source) -> None:
        """Look at the source's clips."""
        for _ in source.clips[self.given :]:
            self.alive()
        self.given = max(self.given, len(source.clips))
