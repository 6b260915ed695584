"""What there is to train on: one entry for each encoded sample, by pool and bucket."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.encoding.bucket import Bucket
from curation.encoding.encoded import EncodedDirectory, held_out_order
from infra.config import ConfigError
from infra.storage.files import join, list_files

COLUMNS: Final = (
    *("key", "source", "pool", "bucket", "encoded", "shard", "tar"),
    *("offset", "size", "sha256", "wav_offset", "wav_size", "wav_sha256"),
)
"""Columns of the index of an encoded stage that say where a sample lies and what it is."""

_NAMES: Final = {"key": "no key", "source": "no source", "pool": "human", "tar": ""}
"""Columns without which a row is damaged, and the values that replace missing ones."""

IS_HELD_OUT: Final = "is_held_out"
"""Column of the samples of sources that are never trained on."""
CHUNK_ROWS: Final = 1 << 16

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """Where a sample lies."""

    key: str
    source: str
    """The video that it comes from."""
    bucket: Bucket
    tar: str
    offset: int | None
    """None in a row of the index that is damaged, as `size`."""
    size: int | None
    sha256: bytes | None
    """SHA-256 of these bytes; None in shards from before it was kept."""
    wav: tuple[int | None, int | None, bytes | None] | None
    """Offset, size and SHA-256 of its sound."""


@dataclass(frozen=True, kw_only=True)
class SampleIndex:
    """The encoded samples of a stage, in an order that depends only on their keys."""

    table: pa.Table = field(repr=False)
    """A row for each sample, with `COLUMNS` and `IS_HELD_OUT`."""
    file: Path | None = None
    """The file that the table is mapped from: another process gets its name and maps it too; None for a table in
    this process's own memory."""

    @cached_property
    def pools(self) -> Mapping[str, Integers]:
        """Rows to train on, by pool."""
        pools = self.table["pool"].combine_chunks().dictionary_encode()
        codes, trained = pools.indices.to_numpy(), ~self._is_held_out
        names = pools.dictionary.to_pylist()
        return {name: np.flatnonzero((codes == names.index(name)) & trained) for name in sorted(names)}

    @cached_property
    def held_out(self) -> Integers:
        """Rows that are kept for validation."""
        # A clip made under the negative prompt shows nothing that one wants to validate.
        is_human = pc.equal(self.table["pool"], "human").to_numpy()
        return np.flatnonzero(self._is_held_out & is_human)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when samples are added or removed."""
        keys = hashlib.sha256()
        for number, chunk in enumerate(self.table["key"].chunks):
            keys.update((b"|" if number else b"") + "|".join(chunk.to_pylist()).encode())
        return keys.hexdigest()[:12]

    @property
    def _is_held_out(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.table[IS_HELD_OUT].to_numpy(), np.bool_)

    def save(self, file: Path) -> None:
        """Write a file from which processes can map the index; it is whole or not there."""
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, self.table.schema) as writer:
                writer.write_table(self.table, max_chunksize=CHUNK_ROWS)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def mapped(cls, file: Path) -> Self:
        """The index in a file. Its pages are shared by all processes of the node that map it, and read when used.

        Raises:
            OSError: there is no such file, or it is damaged.
        """
        with pa.memory_map(str(file)) as source:
            return cls(table=pa.ipc.open_file(source).read_all(), file=file)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.file is not None:
            return type(self).mapped, (self.file,)
        return _unmapped, (self.table,)

    @property
    def num_unchecked(self) -> int:
        """Samples from before their hash was kept: damage in these can pass unnoticed."""
        return int(self.table["sha256"].null_count) if "sha256" in self.table.column_names else len(self)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def buckets(self, rows: Sequence[int] | Integers) -> list[Bucket]:
        """Bucket of each of `rows`."""
        return [Bucket.parse(text) for text in self.table["bucket"].take(pa.array(rows)).to_pylist()]

    def location(self, row: int) -> Location:
        """Where the sample of a row lies."""
        columns = [name for name in COLUMNS if name in self.table.column_names]
        return location_of({name: self.table[name][row].as_py() for name in columns})


def _unmapped(table: pa.Table) -> SampleIndex:
    return SampleIndex(table=table)


def location_of(row: Mapping[str, Any]) -> Location:
    """Where the sample of an index row lies."""
    wav = None if row.get("wav_offset") is None else (row["wav_offset"], row["wav_size"], row.get("wav_sha256"))
    names = ("key", "source", "tar", "offset", "size")
    bucket = Bucket.parse(row["bucket"])
    return Location(**{name: row[name] for name in names}, bucket=bucket, sha256=row.get("sha256"), wav=wav)


def read_index(directory: EncodedDirectory, *, held_out_fraction: float, of_sources: Sequence[str] = ()) -> SampleIndex:
    """Read what is committed.

    Whole sources are held out, chosen by the hash of their name, so that no validation clip comes from a video
    that was trained on. With a fraction above 0, at least one source is held out if there are two. With
    `of_sources`, globs, samples of other sources are as if they were not there.

    Raises:
        ConfigError: nothing is there, or nothing of these sources, an index cannot be read or has no buckets, or a
            committed shard's tar is missing.
    """
    directory.encoding()
    table = directory.index(COLUMNS)
    if table.num_rows and "encoded" in table.column_names:
        table = table.filter(table["encoded"])
    if not table.num_rows or "tar" not in table.column_names:
        raise ConfigError(f"{directory.path} holds no encoded samples; run `make encode` first")
    table = _placed(directory, table)
    if of_sources:
        sources = table["source"].unique().to_pylist()
        meant = [source for source in sources if any(fnmatchcase(source, glob) for glob in of_sources)]
        table = table.filter(pc.is_in(table["source"], pa.array(meant, pa.string())))
        if not table.num_rows:
            raise ConfigError(f"{directory.path} holds no sample of {', '.join(of_sources)} (data.sources)")
    table = table.sort_by([("key", "ascending"), ("shard", "ascending")])
    _check_tars(directory, table)
    held_out = _held_out_sources(table["source"].unique().to_pylist(), held_out_fraction)
    is_held_out = pc.is_in(table["source"], pa.array(sorted(held_out), pa.string()))
    return SampleIndex(table=table.append_column(IS_HELD_OUT, is_held_out))


def _held_out_sources(sources: Sequence[str], fraction: float) -> set[str]:
    ordered = held_out_order(sources)
    if fraction <= 0 or len(ordered) < 2:
        return set()
    return set(ordered[: max(1, round(fraction * len(ordered)))])


def _placed(directory: EncodedDirectory, table: pa.Table) -> pa.Table:
    """Fill in missing names, and take the offset of such rows away: they are drawn like others, and fail when read."""
    lacking = [name for name in (*_NAMES, "bucket", "offset", "size") if name not in table.column_names]
    if lacking:
        raise ConfigError(f"{directory.path}: its indices have no column {' and '.join(lacking)}")
    for text in table["bucket"].unique().to_pylist():
        try:
            Bucket.parse(str(text))
        except ValueError as error:
            raise ConfigError(f"{directory.path}: its indices name the bucket {error}") from error
    for name, value in _NAMES.items():
        offset = pc.if_else(table[name].is_valid(), table["offset"], None)
        table = table.set_column(table.column_names.index("offset"), "offset", offset)
        table = table.set_column(table.column_names.index(name), name, table[name].fill_null(value))
    return table


def _check_tars(directory: EncodedDirectory, table: pa.Table) -> None:
    """Name missing shards now rather than in the middle of an epoch."""
    named = set(table["tar"].unique().to_pylist()) - {_NAMES["tar"]}
    folders = {tar.rpartition("/")[0] for tar in named}
    there = {f"{folder}/{name}" for folder in folders for name in list_files(join(directory.path, folder), ".tar")}
    missing = sorted(named - there)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ConfigError(
            f"{directory.path}: the shard {missing[0]}{more} is missing though its index is there; restore it, or "
            "delete its .parquet and run `make encode` again"
        )
