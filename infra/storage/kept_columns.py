"""Columns of an index that stay in memory, so that one command reads each of them once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from infra.storage.index_parts import SHARD, together

Read = Callable[[Mapping[str, int], Sequence[str]], pa.Table]
"""Reads columns, among them `shard`, of some commits, given as the sizes of their files by name."""


class KeptColumns:
    """What was read of a directory of commits. A commit never changes, so only what is new is read again."""

    def __init__(self) -> None:
        self._table = pa.table({SHARD: pa.array([], pa.string())})
        self._asked: dict[str, None] = {SHARD: None}
        self._names: frozenset[str] = frozenset()

    def read(self, columns: Sequence[str], sizes: Mapping[str, int], read: Read) -> pa.Table:
        """At least these columns of all commits, in the order of their names, as far as a commit has them.

        Args:
            columns: names of columns.
            sizes: bytes of the commits' files, by their names.
            read: reads what is not kept yet.

        Raises:
            pa.ArrowException: a column's values are of types that do not go together.
        """
        kept = self._names & sizes.keys()
        if kept != self._names:
            is_kept = pc.is_in(self._table[SHARD], value_set=pa.array(sorted(kept), pa.string()))
            self._table, self._names = self._table.filter(is_kept), kept
        missing = [name for name in dict.fromkeys(columns) if name not in self._asked]
        if missing and kept:
            added = read({name: sizes[name] for name in kept}, [*missing, SHARD])
            assert added[SHARD].equals(self._table[SHARD]), "commits never change"
            for name in added.column_names:
                if name != SHARD:
                    self._table = self._table.append_column(name, added[name])
        self._asked |= dict.fromkeys(missing)
        if new := sizes.keys() - kept:
            added = read({name: sizes[name] for name in new}, list(self._asked))
            self._table = together([table for table in (self._table, added) if table.num_rows] or [self._table])
            self._names = kept | new
        return self._table
