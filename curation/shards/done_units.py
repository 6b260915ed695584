"""What a ledger says is done, so that no header of it is read again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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

    @classmethod
    def of(cls, rows: pa.Table, where: str) -> Self:
        """What is done by a ledger's rows.

        Args:
            rows: of the index, with at least `DONE_COLUMNS`, of which those that it lacks are null.
            where: names the ledger in messages.

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
        return cls(
            whole=done["source"].combine_chunks(),
            num_units=done["cut_into_max"].to_numpy(),
            parts={source: DonePart(cut_into[source], frozenset(each)) for source, each in keys.items()},
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


def _column(rows: pa.Table, name: str) -> Any:
    kind = pa.int64() if name == "num_segments" else pa.string()
    return rows[name].cast(kind) if name in rows.column_names else pa.nulls(rows.num_rows, kind)
