"""The commit rule of every job that writes shards: tars first, then one Parquet file, whose appearance is the commit.

A directory of commits has a `<name>.parquet` for each commit and tars beside it or one level below. A tar that no
commit names was never committed and is removed when the next run opens the directory. All paths go through fsspec.

Its `_ledger/` has the rows of many commits in one file (see `index_parts`), so that the index of a large run is read
with few requests.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import pyarrow as pa

from infra.config import ConfigError
from infra.storage.files import (
    exists,
    file_sizes,
    filesystem,
    is_local,
    join,
    list_files,
    list_folders,
    listed_files,
    naming,
    read_bytes,
    remove,
    write_atomically,
)
from infra.storage.index_parts import (
    MOST_ROWS,
    SHARD,
    TAIL_COMMITS,
    Part,
    Rows,
    commits_of,
    groups_to_merge,
    joined,
    part_file,
    parts_of,
    read_part,
    together,
)
from infra.storage.kept_columns import KeptColumns
from infra.storage.merges import Merges
from infra.storage.parallel import in_parallel, requests_at_once
from infra.storage.parquet_files import SMALL_BYTES, parquet_bytes, read_parquet
from infra.storage.replaced_rows import ReplacedRows

SESSION_FILE = "_session"
PARTS_AT_ONCE: Final = 3
"""Parts of the index that are in memory at once besides what is wanted of those before."""
NUM_LISTINGS: Final = 5
"""How often a reader lists a directory anew because what it had listed was replaced meanwhile."""


class TakenOverError(RuntimeError):
    """Another run has started on the same directory; this one may not commit any more."""


class CommitDirectory:
    """Commits of one job on any file system that fsspec reaches."""

    left_out: ClassVar[frozenset[str]] = frozenset()
    """Large columns that nobody reads of all commits at once: they are only in the commits' own files."""
    planned_with: ClassVar[tuple[str, ...]] = ()
    """Columns that every run reads: they stand side by side in the index' parts."""

    def __init__(self, path: str) -> None:
        self.path = path.rstrip("/")
        self.merges = Merges(self.path)
        self._kept: KeptColumns | None = None

    def remembering(self) -> Self:
        """This directory; from now on it keeps the columns of the index that it has read, and reads only what is new.

        What one command asks one after the other (plan, totals, report) is then read once.
        """
        self._kept = self._kept or KeptColumns()
        return self

    def open_session(self, session: str) -> int:
        """Take the directory over, remove what earlier runs left uncommitted, and bring its index up to date.

        Returns:
            How many files were removed.
        """
        write_atomically(join(self.path, SESSION_FILE), session.encode())
        listed = self._listed()
        merged = sorted(self.merges.replaced(listed))
        for name in merged:
            remove(self._file(name))
        self.merges.clear_up()
        committed = listed.keys() - set(merged)
        orphans = [
            name
            for folder in ("", *list_folders(self.path))
            for name in (join(folder, file).lstrip("/") for file in list_files(join(self.path, folder)))
            if name.endswith(".tmp") or (name.endswith(".tar") and name[:-4].rpartition("/")[2] not in committed)
        ]
        for name in orphans:
            remove(join(self.path, name))
        self._tidy(session, is_strict=True)
        return len(merged) + len(orphans)

    def check_session(self, session: str) -> None:
        """Refuse to go on after another run has taken the directory over.

        Raises:
            TakenOverError: another run has started on the directory.
        """
        if read_bytes(join(self.path, SESSION_FILE)).decode() != session:
            raise TakenOverError(f"another run has started on {self.path}")

    def names(self) -> list[str]:
        """Names of the commits, sorted."""
        return list(self._sizes())

    def state(self) -> str:
        """Changes when a commit is added, removed or, in a directory that was begun anew, written again."""
        listed = listed_files(self.path, ".parquet")
        told = [f"{name} {each.size} {each.stamp}" for name, each in listed.items()]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()

    def index(
        self,
        columns: Sequence[str] | None = None,
        *,
        without: Collection[str] = (),
        where: Callable[[pa.Table], Any] | None = None,
        told: Callable[[int, int], None] = lambda _done, _of: None,
    ) -> pa.Table:
        """All committed rows, in the order of the commits' names. An empty table when there are none.

        The column `shard`, if asked for or if all are, is the name of the commit.

        Args:
            columns: those wanted: what a commit lacks is null, what all lack is left out. None for all.
            without: columns that are left out.
            where: given rows with these columns, tells which of them are wanted; None for all.
            told: how many of how many commits have been read.

        Raises:
            ConfigError: a file is damaged, or its values are of other types than those of the other commits.
        """
        for last in reversed(range(NUM_LISTINGS)):
            try:
                sizes = self._sizes()
                replaced = self._replaced(sizes)
                asked, unasked = replaced.asked(columns), set(without) - set(replaced.columns)
                if self._kept is not None and asked is not None and where is None and not unasked:
                    table = self._kept.read(asked, sizes, self._rows)
                else:
                    table = self._rows(sizes, asked, without=unasked, where=where, told=told)
            except FileNotFoundError:
                # What a listing named can be replaced before it is read; the next one names what replaced it.
                if not last:
                    raise
            except pa.ArrowException as error:
                raise ConfigError(f"the commits in {self.path} do not go together: {error}") from error
            else:
                return chosen(replaced.left_out_of(table), columns, without)
        raise AssertionError("the last listing raises")

    def rows_of(self, name: str, columns: Sequence[str] | None = None, *, without: Collection[str] = ()) -> pa.Table:
        """The rows of one commit; a column of `columns` that it lacks is left out, and so are those of `without`.

        Raises:
            FileNotFoundError: there is no such commit.
            ConfigError: the file is damaged.
        """
        return read_parquet(self._file(name), columns, without=without)

    def commit(self, name: str, rows: Sequence[Mapping[str, Any]], session: str) -> None:
        """Publish the rows. All files that they name must be in place by now.

        Raises:
            TakenOverError: another run has started on the directory.
        """
        self.commit_table(name, _table(rows), session)

    def commit_table(self, name: str, rows: pa.Table, session: str) -> None:
        """Publish the rows of a table, as `commit` those of dicts.

        Raises:
            TakenOverError: another run has started on the directory.
        """
        content = parquet_bytes(rows)
        self.check_session(session)
        is_repeated = exists(self._file(name))
        write_atomically(self._file(name), content)
        if is_repeated:
            # A second attempt at the same work, whose first one had come so far. A part has the rows of the first.
            for part in parts_of(self.path):
                with suppress(FileNotFoundError):
                    if name in (commits_of(part) or ()):
                        remove(part.path)

    def tidy(self, session: str) -> None:
        """Bring the parts of the index up to date with the commits; next to nothing when there is nothing to do.

        It may run beside workers that commit, but not twice at a time. Whatever it is interrupted at, the same rows
        are read afterwards, and the next call finishes.

        Raises:
            TakenOverError: another run has started on the directory.
            OSError: the store or the disk fails; nothing is lost by that.
        """
        self._tidy(session)

    def _tidy(self, session: str, *, is_strict: bool = False) -> None:
        with suppress(ConfigError, pa.ArrowException):
            # A commit that is damaged, or does not go with the others, is told to whoever reads it.
            for last in reversed(range(NUM_LISTINGS)):
                try:
                    self._tidy_parts(self._sizes(), session, is_strict=is_strict)
                except FileNotFoundError:
                    # Merged since it was listed.
                    if not last:
                        raise
                else:
                    return

    def _tidy_parts(self, sizes: Mapping[str, int], session: str, *, is_strict: bool = False) -> None:
        covered: set[str] = set()
        for part in parts_of(self.path):
            has = commits_of(part) or frozenset()
            own = has & sizes.keys() - covered
            if not own:
                # Damaged, or of commits that a larger part has too, or that are gone.
                self.check_session(session)
                remove(part.path)
            elif 2 * len(own) < len(has) or (is_strict and has - sizes.keys()):
                # Most of it is of commits that were merged; and one that was deleted may be made again otherwise.
                rows = read_part(part, None)
                if rows is not None:
                    self._write_part(rows.only(own), session)
                remove(part.path)
            covered |= own
        tail = {name: size for name, size in sizes.items() if name not in covered}
        if len(tail) >= TAIL_COMMITS or any(size > SMALL_BYTES for size in tail.values()):
            for rows in self._packed(tail):
                self._write_part(rows, session)
        while group := next(groups_to_merge(parts_of(self.path)), None):
            found = (read_part(part, None) for part in group)
            self._write_part(joined([rows for rows in found if rows is not None], among=sizes.keys()), session)
            for part in group:
                remove(part.path)

    def _replaced(self, names: Collection[str]) -> ReplacedRows:  # noqa: ARG002 (for those that replace rows)
        """The rows of some commits that no longer count, because others of these commits have newer ones."""
        return ReplacedRows()

    def _sizes(self) -> dict[str, int]:
        """Bytes of the commits' own files, by the names of the commits that count."""
        listed = self._listed()
        merged = self.merges.replaced(listed)
        return {name: size for name, size in listed.items() if name not in merged}

    def _listed(self) -> dict[str, int]:
        """Bytes of all commits' own files, also of those that were merged and are not deleted yet."""
        return {name.removesuffix(".parquet"): size for name, size in file_sizes(self.path, ".parquet").items()}

    def _file(self, name: str) -> str:
        return join(self.path, f"{name}.parquet")

    def _rows(
        self,
        sizes: Mapping[str, int],
        columns: Sequence[str] | None,
        *,
        without: Collection[str] = (),
        where: Callable[[pa.Table], Any] | None = None,
        told: Callable[[int, int], None] = lambda _done, _of: None,
    ) -> pa.Table:
        """Rows of some commits with `shard`, out of the parts as far as these have them.

        Raises:
            FileNotFoundError: something has been replaced since it was listed.
            ConfigError: a commit's file is damaged.
            pa.ArrowException: a column's values are of types that do not go together.
        """
        wanted = None if columns is None else {*columns, SHARD}
        asked = (self.left_out if wanted is None else self.left_out & wanted) - frozenset(without)
        parts = [] if asked or len(sizes) < 2 else parts_of(self.path)
        num_threads = requests_at_once(self.path)
        tables: list[pa.Table] = []
        rest = dict(sizes)

        def wanted_of(table: pa.Table) -> pa.Table:
            return table if where is None else table.filter(where(table))

        def part_rows(part: Part) -> Rows | None:
            rows = read_part(part, wanted, without=without)
            return None if rows is None else Rows(rows.commits, wanted_of(rows.table))

        def own_rows(item: tuple[str, int]) -> pa.Table:
            return wanted_of(self._own_rows(*item, wanted, without))

        for rows in in_parallel(part_rows, parts, min(PARTS_AT_ONCE, num_threads)):
            if rows is not None and (own := rows.only(rest.keys())).commits:
                tables.append(own.table)
                for name in own.commits:
                    del rest[name]
                told(len(sizes) - len(rest), len(sizes))
                del own
            del rows
        done = len(sizes) - len(rest)
        for table in in_parallel(own_rows, rest.items(), num_threads):
            tables.append(table)
            told(done := done + 1, len(sizes))
        table = together(tables)
        # Arrow keeps what it has freed: of a large index, as much again as the rows take.
        pa.default_memory_pool().release_unused()
        return table

    def _own_rows(
        self, name: str, size: int, columns: Collection[str] | None, without: Collection[str] = ()
    ) -> pa.Table:
        """The rows of one commit out of its own file, with `shard`."""
        table = read_parquet(self._file(name), columns, without=without, size=size)
        return table.append_column(SHARD, pa.array([name] * table.num_rows, pa.string()))

    def _packed(self, sizes: Mapping[str, int]) -> Iterator[Rows]:
        """Rows of commits that are in no part, as many at a time as a part holds."""
        names: list[str] = []
        tables: list[pa.Table] = []
        read = in_parallel(
            lambda item: self._own_rows(*item, None, self.left_out), sizes.items(), requests_at_once(self.path)
        )
        num_rows = 0
        for name, table in zip(sizes, read, strict=True):
            names.append(name)
            tables.append(table)
            num_rows += table.num_rows
            if num_rows >= MOST_ROWS:
                yield Rows(frozenset(names), together(tables))
                names, tables, num_rows = [], [], 0
        if names:
            yield Rows(frozenset(names), together(tables))

    def _write_part(self, rows: Rows, session: str) -> None:
        if not rows.commits:
            return
        name, content = part_file(rows, self.planned_with)
        self.check_session(session)
        write_atomically(join(self.path, name), content)


def chosen(table: pa.Table, columns: Sequence[str] | None, without: Collection[str] = ()) -> pa.Table:
    """Some columns of a table in the order asked for, all for None; an empty table if it has none of them."""
    asked = table.column_names if columns is None else list(dict.fromkeys(columns))
    found = [name for name in asked if name in table.column_names and name not in without]
    return table.select(found) if found else pa.table({})


class StagedTar:
    """A tar under construction; its members can be found again by offset."""

    def __init__(self, tar: tarfile.TarFile, path: str) -> None:
        self._tar = tar
        self._path = path

    def add(self, name: str, content: bytes) -> int:
        """Append a file; returns where its content begins in the tar, in bytes."""
        member = tarfile.TarInfo(name)
        member.size = len(content)
        with naming(self._path):
            self._tar.addfile(member, io.BytesIO(content))
        return int(self._tar.offset) - -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


@contextmanager
def staged_tar(path: str) -> Iterator[StagedTar]:
    """Write a tar on local disk beside its place (or in the temporary directory) and move it there at the end.

    Nothing is left behind when the block raises.
    """
    fs, plain = filesystem(path)
    near = Path(plain).parent if is_local(path) else None
    if near is not None:
        near.mkdir(parents=True, exist_ok=True)
    handle, staged = tempfile.mkstemp(prefix=".soul-", suffix=".tmp", dir=near)
    file = os.fdopen(handle, "wb")
    try:
        tar = tarfile.open(fileobj=file, mode="w")  # noqa: SIM115 (its end is only written when all went well)
        yield StagedTar(tar, path)
        with naming(path):
            tar.close()
            file.flush()
            os.fsync(file.fileno())
            file.close()
        if near is not None:
            Path(staged).chmod(0o644)
            Path(staged).replace(plain)
        else:
            fs.put_file(staged, plain)
    finally:
        with suppress(OSError):  # what did not fit on the disk before does not fit now
            file.close()
        Path(staged).unlink(missing_ok=True)


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows with differing columns as one table: a column for every name, null where a row lacks it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: [row.get(name) for row in rows] for name in names})
