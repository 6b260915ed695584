"""The clips of a run in memory, one row each, with what is looked for and not stored: state, rule, length."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.report.record import PRINTS
from curation.report.summary import UNKNOWN, is_source
from curation.shards.clip_table import open_run, read_scored_clips
from curation.shards.run_directory import RunDirectory
from infra.bars import Told

LEFT_OUT: Final = (*sorted(PRINTS), "stage_seconds", "backends")
"""Columns that stay on disk until a row of them is asked for: they are most of the index."""
KEPT: Final = "kept"
SOUND_DROPPED: Final = "sound_dropped"
REJECTED: Final = "rejected"
SOURCE: Final = "source"
"""A whole source that was rejected or failed, and so has no clips."""
OTHER_SHARD: Final = "other_shard"
"""Of a row that two compared runs share, the shard of the second."""
SEARCHED: Final = ("key", "caption_brief", "source")


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run that is looked at."""

    directory: RunDirectory
    failed: frozenset[str]
    """Keys of its quarantined sources."""

    @property
    def name(self) -> str:
        """As it was given; of a version, its folder."""
        return self.directory.run


@dataclass(frozen=True)
class Collection:
    """The rows that are looked through, in order of their keys."""

    runs: tuple[Run, ...]
    """One, or two that are compared."""
    table: pa.Table
    """The columns of the index but `LEFT_OUT`, every score, and those that `described` and a comparison add."""

    @functools.cached_property
    def searched(self) -> Any:
        """For each row the text in which words are looked for, in small letters."""
        texts = [pc.fill_null(self.table[name], "") for name in SEARCHED]
        return pc.utf8_lower(pc.binary_join_element_wise(*texts, "\n")).combine_chunks()

    @functools.cached_property
    def source_codes(self) -> npt.NDArray[np.int64]:
        """A number for each row's source."""
        codes = self.table["source"].combine_chunks().dictionary_encode().indices
        return np.asarray(codes.to_numpy(zero_copy_only=False), np.int64)

    def row(self, key: str) -> dict[str, Any] | None:
        """The row of a key, of the first run that has it; None where none has it."""
        place = pc.index(self.table["key"], value=key).as_py()
        rows: list[dict[str, Any]] = self.table.slice(place, 1).to_pylist() if place >= 0 else []
        return next(iter(rows), None)

    def shards_of(self, key: str) -> dict[int, str]:
        """The shard that has a key's row, by the number of the run; empty where none has it."""
        row = self.row(key)
        if row is None:
            return {}
        return {row["run"]: row["shard"]} | ({1: row[OTHER_SHARD]} if row.get(OTHER_SHARD) else {})


def open_collection(run: str, read: Told) -> Collection:
    """Read a run's index.

    Raises:
        ConfigError: it is no run directory, or its index is damaged.
    """
    opened = open_one(run)
    return Collection(runs=(opened,), table=read_described(opened, 0, read))


def open_one(run: str, decisions: str | None = None) -> Run:
    """A run, or a version of it, before its index is read.

    Raises:
        ConfigError: it is no run directory, or it has no such version.
    """
    directory = open_run(run, decisions)
    return Run(directory=directory, failed=frozenset(directory.quarantined()))


def read_described(run: Run, number: int, read: Told) -> pa.Table:
    """A run's rows in order of their keys, with the columns `run` (its number), `state`, `rule` and `seconds`."""
    table = read_scored_clips(run.directory, without=LEFT_OUT, read=read)
    columns = {
        "run": pa.array(np.full(table.num_rows, number, np.int8)),
        "state": _states(table),
        "rule": rules(table),
        "seconds": pc.subtract(table["end_s"], table["start_s"]),
    }
    for name, values in columns.items():
        table = table.append_column(name, values)
    return table.sort_by("key").combine_chunks()


def rules(table: pa.Table) -> Any:
    """The stage and rule that rejected a row; null for one that was kept."""
    names: Sequence[Any] = [pc.fill_null(table[name], UNKNOWN) for name in ("reject_stage", "reject_rule")]
    rejected = pc.invert(pc.fill_null(table["kept"], fill_value=False))
    return pc.if_else(rejected, pc.binary_join_element_wise(*names, "/"), pa.scalar(None, pa.string()))


def _states(table: pa.Table) -> Any:
    kept = pc.fill_null(table["kept"], fill_value=False)
    of_kept = pc.if_else(pc.is_valid(table["audio_reason"]), SOUND_DROPPED, KEPT)
    return pc.if_else(kept, of_kept, pc.if_else(is_source(table), SOURCE, REJECTED))
