"""A run's totals, counted from its shard index: the table printed at the end and the report's figures."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.shards.clip_table import open_run, read_clips
from curation.shards.columns import covered_seconds, numbers
from curation.shards.run_directory import RunDirectory

SUMMARY_COLUMNS = (
    *("key", "source", "source_key", "source_duration_s", "stage_seconds", "config_hash", "start_s", "end_s"),
    *("parent_key", "kept", "reject_stage", "reject_rule", "reject_value", "reject_threshold"),
    *("audio_kept", "audio_reason"),
)
"""What `summarise_table` needs of the index."""
UNIT_COLUMNS = ("source", "source_duration_s", "config_hash")
ROW_COLUMNS = (
    *("source", "start_s", "end_s", "parent_key", "kept", "reject_stage", "reject_rule", "reject_value"),
    *("reject_threshold", "audio_kept", "audio_reason"),
)
"""Columns of which copies are made: the longest texts of a large index are not among them."""
UNKNOWN = "unknown"
RECORDS_AT_ONCE = 10_000
"""Times of units that are in memory as Python objects, several kilobytes each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """How much one rule of one stage took out."""

    stage: str
    rule: str
    count: int
    seconds: float
    """Seconds of the clips, or of the whole sources."""
    median_value: float | None
    """Median of what was measured, over the rows that have a number; None when none has."""
    median_threshold: float | None
    """Median of the thresholds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Totals of all that is committed."""

    num_sources: int
    """Videos."""
    num_units: int
    """Units of work: videos, and segments of long ones."""
    num_failed: int
    """Units in quarantine."""
    unit_seconds: float
    """Seconds of the units."""
    num_clips: int
    clip_seconds: float
    """Seconds of all clips together; crops show the same time as the clips that they were cut from, and count too."""
    crop_seconds: float
    """Those of the crops."""
    num_kept: int
    num_crops: int
    """Clips that were cropped out of another clip."""
    source_losses: tuple[Loss, ...]
    """Units that failed or were rejected as a whole, in the order of the stages."""
    clip_losses: tuple[Loss, ...]
    """Rejected clips, in the order of the stages."""
    seconds_in: float
    """Length of the sources. Where a header says less than was kept of its source, what was kept counts."""
    seconds_kept: float
    """Video time that kept clips cover, never more than `seconds_in`. Time that several clips share counts once, as
    that of a crop and its parent, or of clips that overlap."""
    num_audio_kept: int
    """Kept clips that have their sound."""
    num_silent: int
    """Kept clips whose source has no sound."""
    audio_drops: Mapping[str, int]
    """Kept clips whose sound was dropped, by `stage/rule`; most frequent first."""
    config_hashes: Mapping[str, int]
    """Units by the configuration that decided on them; more than one makes decisions incomparable."""
    stages: tuple[str, ...]
    """In the order in which they ran."""
    stage_seconds: Mapping[str, float]
    """Wall seconds of the workers by stage, over all units."""


def summarise(run: str, decisions: str | None = None) -> Summary:
    """Count a run's committed rows, or those of one of its versions.

    Raises:
        ConfigError: it is not a run directory, or has no such version.
    """
    return summarise_directory(open_run(run, decisions))


def summarise_directory(directory: RunDirectory) -> Summary:
    """Count the committed rows of a run that is open, or of a version of it."""
    return summarise_table(read_clips(directory, SUMMARY_COLUMNS), directory.quarantined())


def summarise_table(table: pa.Table, failed: Collection[str]) -> Summary:
    """Count rows.

    Args:
        table: has at least `SUMMARY_COLUMNS`.
        failed: keys of the quarantined units. A failure that has no row yet was never committed and is not counted.
    """
    first_rows = _first_rows(table["source_key"])
    stages, stage_seconds = _stage_times(table["stage_seconds"], first_rows)
    units = table.select(UNIT_COLUMNS).take(first_rows)
    whole = is_source(table)
    rows = table.select(ROW_COLUMNS)
    sources, clips = rows.filter(whole), rows.filter(pc.invert(whole))
    is_kept = pc.fill_null(clips["kept"], fill_value=False)
    kept = clips.filter(is_kept)
    has_audio = pc.fill_null(kept["audio_kept"], fill_value=False)
    drops = kept.filter(pc.invert(has_audio))["audio_reason"]
    seconds_in, seconds_kept = _video_times(units, kept)
    return Summary(
        num_sources=pc.count_distinct(table["source"]).as_py(),
        num_units=units.num_rows,
        num_failed=len(set(table["key"].filter(whole).to_pylist()) & set(failed)),
        unit_seconds=float(np.nansum(numbers(units, "source_duration_s"))),
        num_clips=clips.num_rows,
        clip_seconds=float(np.nansum(_lengths(clips))),
        crop_seconds=float(np.nansum(_lengths(clips.filter(clips["parent_key"].is_valid())))),
        num_kept=kept.num_rows,
        num_crops=clips.num_rows - clips["parent_key"].null_count,
        source_losses=_losses(sources, stages),
        clip_losses=_losses(clips.filter(pc.invert(is_kept)), stages),
        seconds_in=seconds_in,
        seconds_kept=seconds_kept,
        num_audio_kept=pc.sum(has_audio).as_py() or 0,
        num_silent=drops.null_count,
        audio_drops=_counts(drops.drop_null()),
        config_hashes=_counts(units["config_hash"].drop_null()),
        stages=stages,
        stage_seconds=stage_seconds,
    )


def is_source(table: pa.Table) -> Any:
    """Which rows stand for a whole source that has no clips (failed or rejected)."""
    return pc.fill_null(pc.equal(table["key"], table["source_key"]), fill_value=False)


def print_summary(
    summary: Summary, console: Console, elapsed_s: float | None = None, before: Summary | None = None
) -> None:
    """Print the totals as a table.

    Args:
        summary: of the run as it is now.
        console: where to.
        elapsed_s: wall seconds that the run took; with it, clips and source-seconds a second are printed.
        before: the summary from before a resumed run, whose clips do not count for those rates.
    """
    table = Table(title="Curation", title_style="bold", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    segments = f"{summary.num_units:,} units of work" if summary.num_units != summary.num_sources else ""
    table.add_row("sources", f"{summary.num_sources:,}", segments)
    table.add_row("  failed", f"{summary.num_failed:,}", "in quarantine" if summary.num_failed else "")
    _add_losses(table, "left out", summary.source_losses)
    table.add_row("clips", f"{summary.num_clips:,}", f"{summary.num_crops:,} crops" if summary.num_crops else "")
    _add_losses(table, "rejected", summary.clip_losses)
    table.add_row("kept", Text(f"{summary.num_kept:,}", "bold green"), percent(summary.num_kept, summary.num_clips))
    table.add_row("  with sound", f"{summary.num_audio_kept:,}", "")
    for reason, count in summary.audio_drops.items():
        table.add_row("  sound dropped", f"{count:,}", Text(reason))
    if summary.num_silent:
        table.add_row("  no sound in source", f"{summary.num_silent:,}", "")
    table.add_row("hours in", f"{summary.seconds_in / 3600:,.2f}", "")
    share = percent(summary.seconds_kept, summary.seconds_in)
    table.add_row("hours kept", f"{summary.seconds_kept / 3600:,.2f}", share)
    if elapsed_s:
        clips = summary.num_clips - (before.num_clips if before else 0)
        seconds = summary.seconds_in - (before.seconds_in if before else 0.0)
        table.add_row("speed", f"{clips / elapsed_s:,.2f}", "clips/s")
        table.add_row("", f"{seconds / elapsed_s:,.2f}", f"source-seconds/s, {elapsed_s:,.0f} s in all")
    console.print(table)
    if len(summary.config_hashes) > 1:
        hashes = ", ".join(summary.config_hashes)
        console.print(Text(f"Decisions come from {len(summary.config_hashes)} configurations: {hashes}", "yellow"))


def percent(part: float, whole: float) -> str:
    """A share in words: `43 %`; a dash when there is nothing to take a share of."""
    if not whole:
        return "–"
    share = 100 * part / whole
    return f"{share:.1f} %" if 0 < share < 9.95 else f"{share:.0f} %"


def _add_losses(table: Table, label: str, losses: tuple[Loss, ...]) -> None:
    for loss in losses:
        table.add_row(f"  {label}", Text(f"{loss.count:,}", "red"), Text(f"{loss.stage}/{loss.rule}"))


def _first_rows(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Index of the first row of every distinct value, in order of appearance."""
    codes = pc.fill_null(pc.index_in(column, pc.unique(column)), 0).to_numpy()
    return np.sort(np.unique(codes, return_index=True)[1])


def _stage_times(
    column: pa.ChunkedArray, first_rows: npt.NDArray[np.int64]
) -> tuple[tuple[str, ...], dict[str, float]]:
    """Stages in the order in which they ran, and their total seconds.

    A unit's record lists its stages in order and ends where the unit was rejected or failed, so the longest record has
    all stages. Stages that only other records have, as after a change of the pipeline, come behind them.
    """
    orders: dict[tuple[str, ...], None] = {}
    sums: dict[str, float] = defaultdict(float)
    for start in range(0, len(first_rows), RECORDS_AT_ONCE):
        for text in column.take(pa.array(first_rows[start : start + RECORDS_AT_ONCE])).to_pylist():
            record: dict[str, float] = json.loads(text) if text else {}
            orders[tuple(record)] = None
            for stage, seconds in record.items():
                sums[stage] += seconds
    stages = tuple(dict.fromkeys(stage for order in sorted(orders, key=len, reverse=True) for stage in order))
    return stages, {stage: sums[stage] for stage in stages}


def _video_times(units: pa.Table, kept: pa.Table) -> tuple[float, float]:
    """Seconds of the sources, and seconds of them that a kept clip covers."""
    names = pc.unique(units["source"])
    sources, of_kept = (pc.index_in(table["source"], names).to_numpy() for table in (units, kept))
    durations = np.nan_to_num(numbers(units, "source_duration_s"))
    lengths = np.bincount(sources, weights=durations, minlength=len(names))
    covered = covered_seconds(of_kept, numbers(kept, "start_s"), numbers(kept, "end_s"), len(names))
    return float(np.maximum(lengths, covered).sum()), float(covered.sum())


def _lengths(rows: pa.Table) -> npt.NDArray[np.float64]:
    """Seconds of each row's span of its source; the length of the part of the source that it is, for a whole unit."""
    ends = np.fmax(numbers(rows, "end_s"), numbers(rows, "start_s"))
    return np.asarray(np.where(np.isfinite(ends), ends, np.nan) - numbers(rows, "start_s"), np.float64)


def _losses(rejected: pa.Table, stages: tuple[str, ...]) -> tuple[Loss, ...]:
    table = pa.table(
        {
            "stage": pc.fill_null(rejected["reject_stage"], UNKNOWN),
            "rule": pc.fill_null(rejected["reject_rule"], UNKNOWN),
            "value": rejected["reject_value"],
            "threshold": rejected["reject_threshold"],
            "seconds": np.nan_to_num(_lengths(rejected)),
        }
    )
    groups = table.group_by(["stage", "rule"]).aggregate(
        [("value", "list"), ("threshold", "list"), ("seconds", "sum"), ([], "count_all")]
    )
    losses = [
        Loss(
            stage=group["stage"],
            rule=group["rule"],
            count=group["count_all"],
            seconds=group["seconds_sum"],
            median_value=_median(group["value_list"]),
            median_threshold=_median(group["threshold_list"]),
        )
        for group in groups.to_pylist()
    ]
    rank = {stage: index for index, stage in enumerate(stages)}
    return tuple(sorted(losses, key=lambda loss: (rank.get(loss.stage, len(rank)), loss.stage, -loss.count, loss.rule)))


def _median(values: list[float | None]) -> float | None:
    numbers = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.median(numbers)) if numbers else None


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs, most frequent first."""
    pairs = [(str(item["values"]), int(item["counts"])) for item in pc.value_counts(column).to_pylist()]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
