"""The commit rule of every job that writes shards: tars first, then one Parquet file, whose appearance is the commit.

A directory of commits has a `<name>.parquet` for each commit and tars beside it or one level below. A tar that no
commit names was never committed and is removed when the next run opens the directory. All paths go through fsspec.
"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.config import ConfigError
from infra.storage.files import (
    filesystem,
    is_local,
    join,
    list_files,
    list_folders,
    naming,
    read_bytes,
    remove,
    write_atomically,
)

SESSION_FILE = "_session"


class TakenOverError(RuntimeError):
    """Another run has started on the same directory; this one may not commit any more."""


class CommitDirectory:
    """Commits of one job on any file system that fsspec reaches."""

    def __init__(self, path: str) -> None:
        self.path = path.rstrip("/")

    def open_session(self, session: str) -> int:
        """Take the directory over and remove what earlier runs left uncommitted; returns how many files it removed."""
        write_atomically(join(self.path, SESSION_FILE), session.encode())
        committed = set(self.names())
        orphans = [
            name
            for folder in ("", *list_folders(self.path))
            for name in (join(folder, file).lstrip("/") for file in list_files(join(self.path, folder)))
            if name.endswith(".tmp") or (name.endswith(".tar") and name[:-4].rpartition("/")[2] not in committed)
        ]
        for name in orphans:
            remove(join(self.path, name))
        return len(orphans)

    def check_session(self, session: str) -> None:
        """Refuse to go on after another run has taken the directory over.

        Raises:
            TakenOverError: another run has started on the directory.
        """
        if read_bytes(join(self.path, SESSION_FILE)).decode() != session:
            raise TakenOverError(f"another run has started on {self.path}")

    def names(self) -> list[str]:
        """Names of the commits, sorted."""
        return [name.removesuffix(".parquet") for name in list_files(self.path, ".parquet")]

    def index(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All committed rows; `columns` that a commit lacks are null. An empty table when there are none.

        The column `shard`, if asked for or if all are, is the name of the commit.

        Raises:
            ConfigError: a file is damaged, or its values are of other types than those of the other commits.
        """
        tables = []
        for name in self.names():
            table = self.rows_of(name, columns)
            if columns is None or "shard" in columns:
                table = table.append_column("shard", pa.array([name] * table.num_rows))
            tables.append(table)
        try:
            return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})
        except pa.ArrowException as error:
            raise ConfigError(f"the commits in {self.path} do not go together: {error}") from error

    def rows_of(self, name: str, columns: Sequence[str] | None = None, *, without: Collection[str] = ()) -> pa.Table:
        """The rows of one commit; a column of `columns` that it lacks is left out, and so are those of `without`.

        Raises:
            ConfigError: the file is damaged.
        """
        path = join(self.path, f"{name}.parquet")
        content = io.BytesIO(read_bytes(path))
        try:
            # Arrow's threads can abort the interpreter if they still run when it ends. Commits are small, so none is
            # needed.
            file = pq.ParquetFile(content, pre_buffer=False, page_checksum_verification=True)
            names = [name for name in file.schema_arrow.names if name not in without]
            wanted = [name for name in names if columns is None or name in columns]
            return file.read(wanted, use_threads=False)
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from error

    def commit(self, name: str, rows: Sequence[Mapping[str, Any]], session: str) -> None:
        """Publish the rows. All files that they name must be in place by now.

        Raises:
            TakenOverError: another run has started on the directory.
        """
        sink = io.BytesIO()
        pq.write_table(_table(rows), sink, write_page_checksum=True)
        self.check_session(session)
        write_atomically(join(self.path, f"{name}.parquet"), sink.getvalue())


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
