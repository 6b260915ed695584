"""Rows of commits that no longer count: a commit never changes, so what replaces a part of it is another commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.storage.index_parts import SHARD

_BETWEEN: Final = "\n"
"""Stands between a commit's name, which has no line ends, and a unit's."""


@dataclass(frozen=True, slots=True)
class ReplacedRows:
    """Units whose rows in some commits no longer count."""

    unit: str = ""
    """The column that names a row's unit."""
    units: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Those that are replaced, by the commit that has the old rows."""

    @classmethod
    def of(cls, unit: str, pairs: Collection[tuple[str, str]]) -> ReplacedRows:
        """Out of pairs of a unit and the commit that has its old rows."""
        units = defaultdict[str, set[str]](set)
        for name, commit in pairs:
            units[commit].add(name)
        return cls(unit, units)

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that `left_out_of` needs."""
        return (self.unit, SHARD) if self.units else ()

    def asked(self, columns: Sequence[str] | None) -> Sequence[str] | None:
        """Some columns, with those that are needed; None for all."""
        return columns if columns is None else list(dict.fromkeys([*columns, *self.columns]))

    def left_out_of(self, table: pa.Table) -> pa.Table:
        """The rows of a table that count. It has `columns`."""
        if not self.units or not table.num_rows:
            return table
        commits = pa.array(sorted(self.units), pa.string())
        places = np.flatnonzero(pc.is_in(table[SHARD], value_set=commits).to_numpy(zero_copy_only=False))
        some = table.select([SHARD, self.unit]).take(pa.array(places))
        pairs = [f"{commit}{_BETWEEN}{unit}" for commit, units in self.units.items() for unit in units]
        named = pc.binary_join_element_wise(some[SHARD], some[self.unit], _BETWEEN)
        gone = pc.is_in(named, value_set=pa.array(pairs, pa.string())).to_numpy(zero_copy_only=False)
        counts = np.ones(table.num_rows, bool)
        counts[places[gone]] = False
        return table.filter(pa.array(counts))
