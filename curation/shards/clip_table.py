"""The shard index as one table for reading: only the columns asked for, each of its known type."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pyarrow as pa

from curation.shards.run_directory import RunDirectory
from curation.shards.versions import open_clips
from infra.config import ConfigError
from infra.storage.files import exists

COLUMNS: dict[str, pa.DataType] = {
    "key": pa.string(),
    "source": pa.string(),
    "source_key": pa.string(),
    "segment": pa.int64(),
    "num_segments": pa.int64(),
    "source_duration_s": pa.float64(),
    "stage_seconds": pa.string(),
    "pool": pa.string(),
    "config_hash": pa.string(),
    "backends": pa.string(),
    "field_order": pa.string(),
    "color_range": pa.string(),
    "color_matrix": pa.string(),
    "color_primaries": pa.string(),
    "color_transfer": pa.string(),
    "start_s": pa.float64(),
    "end_s": pa.float64(),
    "shot_start_s": pa.float64(),
    "shot_end_s": pa.float64(),
    "parent_key": pa.string(),
    "shot_type": pa.string(),
    "num_people": pa.int64(),
    "audio_type": pa.string(),
    "width": pa.int64(),
    "height": pa.int64(),
    "num_frames": pa.int64(),
    "fps": pa.float64(),
    "caption_brief": pa.string(),
    "thumbnail": pa.binary(),
    "content_hash": pa.string(),
    "look_print": pa.binary(),
    "motion_print": pa.binary(),
    "sound_print": pa.binary(),
    "embedding_print": pa.binary(),
    "kept": pa.bool_(),
    "reject_stage": pa.string(),
    "reject_rule": pa.string(),
    "reject_value": pa.float64(),
    "reject_threshold": pa.float64(),
    "audio_reason": pa.string(),
    "audio_kept": pa.bool_(),
    "duplicate_of": pa.string(),
    "shard": pa.string(),
}
"""Columns that every row has, and the shard that it was read from; any other column is a score."""


def open_run(run: str, decisions: str | None = None) -> RunDirectory:
    """A run directory to read from, or one of its versions.

    Raises:
        ConfigError: nothing has ever been curated into it, or it has no such version.
    """
    directory = RunDirectory(run)
    if not exists(directory.shards):
        raise ConfigError(f"{run} is not a run directory: it has no shards/")
    return open_clips(run, decisions)


def read_clips(directory: RunDirectory, columns: Sequence[str]) -> pa.Table:
    """All committed rows with exactly `columns` (names of `COLUMNS`); a column that no shard has is null."""
    table = directory.index(columns)
    return pa.table({name: _column(table, name) for name in columns}, schema=schema(columns))


def read_scored_clips(
    directory: RunDirectory, *, without: Collection[str], read: Callable[[int, int], None] = lambda _done, _of: None
) -> pa.Table:
    """All committed rows with every column: those of `COLUMNS`, then the scores that any shard has.

    Args:
        directory: of the run.
        without: columns that are left out.
        read: told how many of how many shards have been read.

    Raises:
        ConfigError: a shard's index is damaged, or has values of other types than another's.
    """
    table = directory.index(without=without, told=read)
    known = [name for name in COLUMNS if name not in without]
    scores = [field.name for field in table.schema if field.name not in COLUMNS and not pa.types.is_null(field.type)]
    return pa.table({name: _column(table, name) for name in known} | {name: table[name] for name in scores})


def schema(columns: Sequence[str]) -> pa.Schema:
    """The types of some of `COLUMNS`."""
    return pa.schema([(name, COLUMNS[name]) for name in columns])


def read_shard(directory: RunDirectory, shard: str, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The rows of one shard; a column of `columns` that it lacks is left out."""
    rows: list[dict[str, Any]] = directory.rows_of(shard, columns).to_pylist()
    return rows


def _column(table: pa.Table, name: str) -> Any:
    if name in table.column_names:
        return table[name].cast(COLUMNS[name])
    return pa.nulls(table.num_rows, COLUMNS[name])
