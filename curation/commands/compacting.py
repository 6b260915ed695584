"""Merging small shards, with a display: for the command, and at the end of a run."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from curation.compaction.job import CompactionJob
from curation.compaction.plan import merges_of
from curation.pipeline import CurationConfig
from curation.shards.run_directory import RunDirectory
from infra.jobs.cluster import telling_why_it_stopped
from infra.jobs.console import Words, announced_ray, display
from infra.jobs.engine import run_inline, run_on_ray

WORDS = Words(doing="merging", counts="clips", kept="in large shards", rejected="left as they are", units="merges")


def compact(
    console: Console, directory: RunDirectory, config: CurationConfig, engine: str, *, everything: bool = False
) -> bool:
    """Merge the small shards of a run; returns whether there was something to merge.

    Raises:
        CommandFailedError: Ray ended it, or merges are left to the next call.
        ConfigError: a shard's index is damaged.
    """
    merges = merges_of(directory, config.shards, everything=everything)
    if not merges:
        return False
    small, num_bytes = sum(len(each.shards) for each in merges), sum(each.num_bytes for each in merges)
    console.print(
        f"{small:,} small shards become {len(merges):,} of {num_bytes / len(merges) / 1e6:,.0f} MB",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    job = CompactionJob(run=directory.run, merges=tuple(merges))
    job = replace(job, execution=replace(job.execution, patience_s=config.execution.patience_s))
    num_clips = sum(each.num_samples for each in merges)
    if engine == "inline":
        with display(console, num_clips, WORDS) as drawing:
            run_inline(job.units, job, drawing.show)
    else:
        with telling_why_it_stopped(), announced_ray(console, job.name), display(console, num_clips, WORDS) as drawing:
            run_on_ray(job.units, job, drawing.show)
    console.print(f"shards  {len(directory.names()):,} in {directory.shards}", soft_wrap=True, highlight=False)
    return True
