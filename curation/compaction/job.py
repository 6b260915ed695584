"""Merging as a job: a large shard is a unit of work and a commit."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from curation.compaction.merge import commit_merged, delete_parts, is_committed, write_merged
from curation.compaction.plan import Merge
from curation.shards.run_directory import RunDirectory
from infra.config import ConfigError
from infra.jobs import notes
from infra.jobs.job import About, Alive
from infra.jobs.placement import ExecutionConfig, PoolConfig
from infra.jobs.progress import Progress
from infra.jobs.unit_log import in_stage


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeUnit:
    """A merge on its way."""

    merge: Merge
    rows: pa.Table | None = field(default=None, repr=False)
    """What is to be committed, once the tar is written."""
    refusal: str | None = None
    """Why the shards stay as they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CompactionJob:
    """What `curation compact` runs, and a run at its end."""

    run: str
    """The run directory."""
    merges: tuple[Merge, ...]
    execution: ExecutionConfig = ExecutionConfig(pools=(PoolConfig(name="merge"),))
    """An actor a CPU: the network and the disks are what they share."""
    session: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Fences off an earlier run on the same directory that is still alive."""

    @property
    def directory(self) -> RunDirectory:
        """The run's shards."""
        return RunDirectory(self.run)

    @property
    def name(self) -> str:
        """Merging."""
        return "compaction"

    @property
    def about(self) -> About:
        """The run."""
        return About(run=self.run)

    @property
    def stages(self) -> tuple[str, ...]:
        """The one stage."""
        return ("merge",)

    @property
    def units_per_commit(self) -> int:
        """A shard is committed by itself."""
        return 1

    @property
    def units(self) -> list[MergeUnit]:
        """The merges as units of work."""
        return [MergeUnit(merge=merge) for merge in self.merges]

    def open(self) -> None:
        """Take the shards over, and write down what is about to be merged."""
        directory = self.directory
        directory.open_session(self.session)
        directory.merges.announce({merge.name: merge.shards for merge in self.merges})

    def tidy(self) -> None:
        """Bring the index of the shards up to date.

        Raises:
            TakenOverError: another run has started on the directory.
            OSError: the store or the disk fails; nothing is lost by that.
        """
        self.directory.tidy(self.session)

    def key(self, unit: MergeUnit) -> str:
        """The large shard's name."""
        return unit.merge.name

    def worker(
        self,
        stages: Sequence[str],  # noqa: ARG002 (there is one stage)
        *,
        debug: bool,  # noqa: ARG002 (bugs are let out)
        units_in_flight: int = 1,  # noqa: ARG002 (nothing is shared)
    ) -> MergeWorker:
        """Nothing is loaded."""
        return MergeWorker(self)

    def give_up(self, unit: MergeUnit, detail: str) -> MergeUnit:
        """The merge that is left; its shards stay as they are."""
        return replace(unit, refusal=f"crashed: {detail}")

    def commit(self, units: Sequence[MergeUnit]) -> Progress:
        """Publish merges whose tars are written, and delete what they are made of."""
        directory, progress = self.directory, Progress()
        for unit in units:
            number = unit.merge.num_samples
            if unit.refusal is not None:
                notes.tell(f"{len(unit.merge.shards)} small shards stay as they are: {unit.refusal}")
                progress.merge(Progress(units=1, clips=number, rejected=Counter({"damaged or gone": number})))
                continue
            if unit.rows is None:
                delete_parts(directory, unit.merge)
            else:
                commit_merged(directory, unit.merge, unit.rows, self.session)
            num_bytes = unit.merge.num_bytes
            progress.merge(Progress(units=1, clips=number, kept=number, num_bytes=num_bytes, commits=1))
        return progress


class MergeWorker:
    """Writes the tars of merges."""

    def __init__(self, job: CompactionJob) -> None:
        self.directory = job.directory

    def run(self, unit: MergeUnit, alive: Alive) -> MergeUnit:
        """The merge with its tar written and its rows filled in; without rows where an earlier attempt committed it.

        Raises:
            OSError: the disk is full or the network is down.
        """
        if is_committed(self.directory, unit.merge):
            return unit
        try:
            with in_stage("merge"):
                return replace(unit, rows=write_merged(self.directory, unit.merge, alive))
        except (ConfigError, FileNotFoundError) as error:
            return replace(unit, refusal=str(error))
