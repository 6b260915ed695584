"""What a ledger says is done, so that no header of it is read again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.config import ConfigError

DONE_COLUMNS: Final = ("source", "source_key", "num_segments", "shard")
"""Columns of the index by which it is told."""


@dataclass(frozen=True, slots=True)
class DonePart:
    """A source of which units are done, and others may not be."""

    num_segments: int | None
    """Into how many units it was cut; None where the ledger was written before that was in it."""
    units: frozenset[str]
    """Keys of those that are done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """The units of work that are in shards or in quarantine."""

    whole: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    """Sources all of whose units are done."""
    num_units: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    """Into how many units each of them was cut."""
    parts: dict[str, DonePart] = field(default_factory=dict)
    """The other sources of which anything is done."""
    keys: Collection[str] = frozenset()
    """Keys of units that are done, of whatever source."""
    again: Mapping[str, str] = field(default_factory=dict)
    """Units that are not done although a shard has a row of them, by their keys: that shard."""

    @classmethod
    def of(cls, rows: pa.Table, where: str, again: Mapping[str, str] | None = None) -> Self:
        """What is done by a ledger's rows.

        A unit that was cut otherwise than others of its source is one to do again: a source that had failed as a whole
        was cut anew, and the run that did so was broken off.

        Args:
            rows: of the index, with at least `DONE_COLUMNS`, of which those that it lacks are null.
            where: names the ledger in messages.
            again: units in quarantine that are to be done again, by their keys: the shards that have them.

        Raises:
            ConfigError: a unit is in two shards, so the directory was written by something else.
        """
        if not rows.num_rows:
            return cls()
        columns = {name: _column(rows, name) for name in DONE_COLUMNS}
        in_shards = pa.table(columns).group_by(["source", "source_key", "shard"], use_threads=False)
        units = in_shards.aggregate([("num_segments", "max")]).rename_columns([*DONE_COLUMNS[:2], "shard", "cut_into"])
        if pc.count_distinct(units["source_key"]).as_py() < units.num_rows:
            raise ConfigError(f"{where}: some sources are in more than one shard; start a new run directory")
        again = {**_cut_otherwise(units), **(again or {})}
        is_again = pc.is_in(units["source_key"], value_set=pa.array(sorted(again), pa.string()))
        units, undone = units.filter(pc.invert(is_again)), units.filter(is_again)
        by_source = units.group_by("source", use_threads=False)
        sources = by_source.aggregate([("source_key", "count"), ("cut_into", "max")])
        whole = pc.fill_null(pc.greater_equal(sources["source_key_count"], sources["cut_into_max"]), fill_value=False)
        done = sources.filter(whole)
        in_part = sources.filter(pc.invert(whole))
        cut_into = dict(zip(in_part["source"].to_pylist(), in_part["cut_into_max"].to_pylist(), strict=True))
        keys: dict[str, list[str]] = {source: [] for source in cut_into}
        rest = units.filter(pc.is_in(units["source"], in_part["source"]))
        for source, key in zip(rest["source"].to_pylist(), rest["source_key"].to_pylist(), strict=True):
            keys[source].append(key)
        parts = {source: DonePart(cut_into[source], frozenset(each)) for source, each in keys.items()}
        for source, count in zip(undone["source"].to_pylist(), undone["cut_into"].to_pylist(), strict=True):
            if (count or 1) > 1:
                parts.setdefault(source, DonePart(count, frozenset()))
        return cls(
            whole=done["source"].combine_chunks(), num_units=done["cut_into_max"].to_numpy(), parts=parts, again=again
        )

    def cut_as_before(self) -> Done:
        """The same sources with nothing done, to be cut into as many units as they were."""
        whole = zip(self.whole.to_pylist(), self.num_units.tolist(), strict=True)
        counts = {source: part.num_segments for source, part in self.parts.items()} | dict(whole)
        return Done(parts={source: DonePart(count, frozenset()) for source, count in counts.items()})

    def units_of(self, sources: Sequence[str]) -> np.ndarray:
        """Into how many units each source was cut of which all are done, (N,); 0 for the others."""
        if not len(self.whole) or not sources:
            return np.zeros(len(sources), int)
        places = pc.index_in(pa.array(sources, pa.string()), value_set=self.whole)
        index = places.fill_null(0).to_numpy(zero_copy_only=False)
        return np.where(places.is_valid().to_numpy(zero_copy_only=False), self.num_units[index], 0)


def _cut_otherwise(units: pa.Table) -> dict[str, str]:
    """Units of sources that were cut into more units since: their keys and shards."""
    sources = units.group_by("source", use_threads=False).aggregate([("cut_into", "min"), ("cut_into", "max")])
    mixed = sources.filter(pc.fill_null(pc.less(sources["cut_into_min"], sources["cut_into_max"]), fill_value=False))
    if not mixed.num_rows:
        return {}
    now = dict(zip(mixed["source"].to_pylist(), mixed["cut_into_max"].to_pylist(), strict=True))
    rows = units.filter(pc.is_in(units["source"], value_set=mixed["source"].combine_chunks())).to_pylist()
    return {
        row["source_key"]: row["shard"]
        for row in rows
        if row["cut_into"] is not None and row["cut_into"] < now[row["source"]]
    }


def _column(rows: pa.Table, name: str) -> Any:
    kind = pa.int64() if name == "num_segments" else pa.string()
    return rows[name].cast(kind) if name in rows.column_names else pa.nulls(rows.num_rows, kind)
