"""Curation as a job: sources pass the pipeline's stages and are packed into shards."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from ray.util import metrics

from curation.clip.schema import Source
from curation.pipeline import STAGES, CurationConfig, build_stages
from curation.runner import StageRunner
from curation.shards.run_directory import RunDirectory, ShardWriter
from curation.shards.settings import remember_settings
from curation.sources.node_copies import NodeCopies
from curation.stage import Stage
from infra.jobs.job import Alive
from infra.jobs.placement import ExecutionConfig
from infra.jobs.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class CurationJob:
    """What `make curate` runs; a unit is a source or a bounded segment of one."""

    run: str
    """The run directory."""
    config: CurationConfig
    session: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Fences off an earlier run on the same directory that is still alive."""

    @property
    def name(self) -> str:
        """Curation."""
        return "curation"

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
        ShardWriter(self.run, self.config.shards, self.config.decided_by, self.session).write(units)
        progress = Progress()
        for unit in units:
            progress.merge(progress_of(unit))
        return progress


def progress_of(source: Source) -> Progress:
    """What a source that has passed the last stage adds to the totals."""
    seconds = dict(source.stage_seconds)
    decision = source.failure or source.rejection
    if decision is not None:
        progress = Progress(units=1, failed=source.failure is not None, stage_seconds=seconds)
        progress.rejected[f"{decision.stage}/{decision.rule}"] += 1
        return progress
    progress = Progress(units=1, clips=len(source.clips), stage_seconds=seconds)
    progress.kept = sum(clip.kept for clip in source.clips)
    decisions = [clip.rejection for clip in source.clips if clip.rejection is not None]
    progress.rejected.update(f"{decision.stage}/{decision.rule}" for decision in decisions)
    return progress


class CurationWorker:
    """Takes sources through some stages, with a sign of life for every clip that they make and metrics at the end.

    Several threads may use it at once, each for a source of its own.
    """

    def __init__(
        self, stages: Sequence[tuple[str, Stage]], *, copies: NodeCopies | None, is_last: bool, debug: bool
    ) -> None:
        self.runner = StageRunner(stages, raise_bugs=debug, copies=copies, is_last=is_last)
        self.metrics = None if debug else StageMetrics()

    def run(self, unit: Source, alive: Alive) -> Source:
        """The source after the stages."""
        signs = ClipSigns(alive)
        signs.give(unit)
        result = self.runner.run(unit, after_stage=signs.give)
        if self.metrics is not None:
            self.metrics.record(unit, result)
        return result


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


class StageMetrics:
    """Ray metrics of a worker, seen in the dashboard and by Prometheus."""

    def __init__(self) -> None:
        self.clips = metrics.Counter(
            "soul_curation_clips", "Clips by stage and rule; kept ones have none", ("stage", "rule")
        )
        self.seconds = metrics.Histogram(
            "soul_curation_stage_seconds",
            "Wall time of a stage on one unit",
            [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300],
            ("stage",),
        )

    def record(self, before: Source, after: Source) -> None:
        """Publish what a pool's stages did to a unit."""
        for name, seconds in after.stage_seconds.items():
            self.seconds.observe(max(0.0, seconds - before.stage_seconds.get(name, 0.0)), {"stage": name})
        already = {clip.key for clip in before.clips if not clip.kept}
        for clip in after.clips:
            if clip.rejection is not None and clip.key not in already:
                self.clips.inc(1, {"stage": clip.rejection.stage, "rule": clip.rejection.rule})
            elif clip.payload is not None:
                self.clips.inc(1, {"stage": "kept", "rule": ""})
        decision = after.failure or after.rejection
        if decision is not None and before.active:
            self.clips.inc(1, {"stage": decision.stage, "rule": decision.rule})
