"""Merging the small shards of a run in this process."""

from __future__ import annotations

from curation.compaction.job import CompactionJob
from curation.compaction.plan import merges_of
from curation.shards.run_directory import RunDirectory, ShardsConfig
from infra.jobs.engine import run_inline
from infra.jobs.progress import Progress


def merge_shards(run: str, config: ShardsConfig | None = None) -> Progress:
    """Merge all that can be merged; returns the totals."""
    merges = merges_of(RunDirectory(run), config or ShardsConfig(), everything=True)
    job, told = CompactionJob(run=run, merges=tuple(merges)), [Progress()]
    run_inline(job.units, job, told.append)
    return told[-1]
