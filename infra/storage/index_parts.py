"""Parts of an index: Parquet files, each with the rows of many commits, so that a reader makes few requests.

    _ledger/part-<rows>-<id>.parquet

Commits stay what counts. A part is made from them and can be made again: one that is damaged is passed over, rows of
commits that are gone are left out, and where two parts have the same commit the larger one has the word. Its rows have
the column `shard`, the name of their commit; columns that nobody reads of a whole index are not in it.

Parts grow like the runs of a log-structured merge tree: some dozens of commits become a small part, several parts of
one size become a larger one, up to a size at which they stay.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from infra.config import ConfigError
from infra.storage.files import file_sizes, join
from infra.storage.parquet_files import parquet_bytes, read_parquet

FOLDER: Final = "_ledger"
SHARD: Final = "shard"
"""The column with the name of a row's commit."""
TAIL_COMMITS: Final = 64
"""So many commits that are in no part become one."""
FANOUT: Final = 8
"""So many parts of one size become a larger one."""
SMALLEST_ROWS: Final = 256
"""Parts of up to so many rows are of the smallest size; each size is `FANOUT` times the one before."""
MOST_ROWS: Final = 1 << 18
"""Rows of the largest parts, about: what is in memory while one is made."""
ROWS_PER_GROUP: Final = 1 << 17
_NAME: Final = re.compile(r"part-(\d+)-[0-9a-f]{16}\.parquet")
_WITHOUT_ROWS: Final = b"soul.commits_without_rows"
"""Key of the metadata that names them, as JSON."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part as its directory lists it."""

    path: str
    num_rows: int
    size: int
    """In bytes."""

    @property
    def tier(self) -> int:
        """Which size it is of."""
        tier, most = 0, SMALLEST_ROWS
        while self.num_rows > most:
            tier, most = tier + 1, most * FANOUT
        return tier

    @property
    def is_full(self) -> bool:
        """Whether it is as large as parts become."""
        return self.num_rows > MOST_ROWS // 2


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of some commits."""

    commits: frozenset[str]
    """Their names; a commit may have no rows."""
    table: pa.Table
    """With the column `shard`; the rows of a commit stand together, commits in the order of their names."""

    def only(self, commits: Collection[str]) -> Self:
        """The rows of those of its commits that are among some."""
        wanted = self.commits & frozenset(commits)
        if wanted == self.commits:
            return self
        is_wanted = pc.is_in(self.table[SHARD], value_set=pa.array(sorted(wanted), pa.string()))
        return type(self)(wanted, self.table.filter(is_wanted))


def parts_of(directory: str) -> list[Part]:
    """The parts of a directory of commits, the largest first."""
    folder = join(directory, FOLDER)
    matches = ((_NAME.fullmatch(name), name, size) for name, size in file_sizes(folder, ".parquet").items())
    found = [Part(join(folder, name), int(match[1]), size) for match, name, size in matches if match]
    return sorted(found, key=lambda part: (-part.num_rows, part.path))


def read_part(part: Part, columns: Collection[str] | None, *, without: Collection[str] = ()) -> Rows | None:
    """A part's rows with some of its columns and `shard`; None if it is damaged.

    Raises:
        FileNotFoundError: it has been replaced by a larger one since it was listed.
    """
    wanted = None if columns is None else {*columns, SHARD}
    try:
        table = read_parquet(part.path, wanted, without=without, size=part.size)
        names = json.loads((table.schema.metadata or {})[_WITHOUT_ROWS])
        commits = frozenset([*table[SHARD].unique().to_pylist(), *names])
    except (ConfigError, KeyError, ValueError):
        return None
    return Rows(commits, table.replace_schema_metadata(None))


def commits_of(part: Part) -> frozenset[str] | None:
    """The commits that a part has; None if it is damaged.

    Raises:
        FileNotFoundError: it is gone.
    """
    try:
        return _commits_of(part)
    except ConfigError:
        return None


@lru_cache(maxsize=1024)
def _commits_of(part: Part) -> frozenset[str]:
    """Kept, because a part never changes; that it is damaged is not."""
    rows = read_part(part, ())
    if rows is None:
        raise ConfigError(f"{part.path} is damaged")
    return rows.commits


def part_file(rows: Rows, first: Sequence[str]) -> tuple[str, bytes]:
    """The name of a part, below the directory of commits, and its content.

    Args:
        rows: of the commits.
        first: columns that stand side by side, so that one request fetches them.

    Raises:
        ConfigError: it cannot be written as Parquet.
    """
    table = rows.table
    order = [SHARD, *(name for name in first if name in table.column_names)]
    table = table.select([*order, *(name for name in table.column_names if name not in order)])
    empty = sorted(rows.commits - set(table[SHARD].unique().to_pylist()))
    table = table.replace_schema_metadata({_WITHOUT_ROWS: json.dumps(empty).encode()})
    digest = hashlib.sha256("|".join(sorted(rows.commits)).encode()).hexdigest()[:16]
    try:
        content = parquet_bytes(table, compression="zstd", row_group_size=ROWS_PER_GROUP)
    except pa.ArrowException as error:
        raise ConfigError(f"rows that no index can hold: {error}") from error
    return join(FOLDER, f"part-{table.num_rows}-{digest}.parquet"), content


def together(tables: list[pa.Table]) -> pa.Table:
    """Tables with `shard` as one, in the order of the commits' names; columns that one lacks are null.

    The list is emptied, so that no more than one column is in memory twice.

    Raises:
        pa.ArrowException: a column's values are of types that do not go together.
    """
    if not tables:
        return pa.table({})
    table = pa.concat_tables(tables, promote_options="permissive")
    tables.clear()
    order = _order(table[SHARD])
    if order is None:
        return table
    columns = {name: table[name] for name in table.column_names}
    del table
    for name in list(columns):
        columns[name] = columns[name].take(order)
    return pa.table(columns)


def joined(parts: Sequence[Rows], among: Collection[str]) -> Rows:
    """The rows of several parts as one, each commit once.

    Args:
        parts: their rows.
        among: commits that still count.

    Raises:
        pa.ArrowException: a column's values are of types that do not go together.
    """
    commits: set[str] = set()
    tables = []
    for part in parts:
        own = part.only(part.commits & frozenset(among) - commits)
        commits |= own.commits
        tables.append(own.table)
    return Rows(frozenset(commits), together(tables))


def _order(column: pa.ChunkedArray) -> pa.Array | None:
    """The rows in the order of their commits' names, those of one commit as they are; None if they are so already."""
    shards = column.combine_chunks().dictionary_encode()
    ranks = pc.array_sort_indices(pc.array_sort_indices(shards.dictionary))
    places = ranks.take(shards.indices)
    if len(places) < 2 or pc.all(pc.less_equal(places[:-1], places[1:])).as_py():
        return None
    return pc.array_sort_indices(places)


def groups_to_merge(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Parts of one size that become a larger one."""
    tiers: dict[int, list[Part]] = defaultdict(list)
    for part in parts:
        if not part.is_full:
            tiers[part.tier].append(part)
    for tier in sorted(tiers):
        group: list[Part] = []
        for part in tiers[tier]:
            if sum(each.num_rows for each in group) + part.num_rows > MOST_ROWS:
                yield group
                group = []
            group.append(part)
            if len(group) == FANOUT:
                yield group
                group = []
