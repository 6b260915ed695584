"""Parquet files anywhere: of a large one in a store, only the bytes of the columns that are asked for."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.parquet import AlreadyBufferedFile
from fsspec.utils import merge_offset_ranges

from infra.config import ConfigError
from infra.storage.files import filesystem, is_local, store_errors

SMALL_BYTES: Final = 1 << 20
"""A file in a store up to this size is read whole: a second request takes longer than the bytes."""
FOOTER_BYTES: Final = 1 << 17
"""Read from the end of a larger one to find its columns."""
GAP_BYTES: Final = 1 << 16
"""Columns of which no more than this lies between them come with one request."""


def read_parquet(
    path: str,
    columns: Collection[str] | None = None,
    *,
    without: Collection[str] = (),
    size: int | None = None,
) -> pa.Table:
    """A Parquet file's rows; a column of `columns` that it lacks is left out, and so are those of `without`.

    Args:
        path: path or URI.
        columns: those wanted; None for all.
        without: those left out.
        size: of the file in bytes, if that is known: only then is a large file read in part.

    Raises:
        FileNotFoundError: there is none.
        ConfigError: the file is damaged.
    """
    fs, plain = filesystem(path)
    with store_errors():
        if is_local(path):
            source: Any = pa.OSFile(plain)
        elif size and size <= SMALL_BYTES:
            # With an end, s3fs does not ask for the size first. This one is beyond the listed size, since a second
            # attempt at the same commit may have replaced the file.
            source = io.BytesIO(fs.cat_file(plain, start=0, end=SMALL_BYTES))
        elif (columns is None and not without) or not size:
            source = io.BytesIO(fs.cat_file(plain))
        else:
            source = _part_of(path, size, lambda name: (columns is None or name in columns) and name not in without)
    return _read(path, source, columns, without)


def parquet_bytes(table: pa.Table, **options: Any) -> bytes:
    """A table as a Parquet file whose pages have checksums."""
    sink = io.BytesIO()
    pq.write_table(table, sink, write_page_checksum=True, **options)
    return sink.getvalue()


def _read(
    path: str, source: AbstractContextManager[Any], columns: Collection[str] | None, without: Collection[str]
) -> pa.Table:
    with source as content:
        try:
            # Arrow's threads can abort the interpreter if they still run when it ends.
            file = pq.ParquetFile(content, pre_buffer=False, page_checksum_verification=True)
            names = [name for name in file.schema_arrow.names if name not in without]
            wanted = [name for name in names if columns is None or name in columns]
            return file.read(wanted, use_threads=False)
        except (pa.ArrowException, ValueError, OSError) as error:
            raise _damaged(path, error) from error


def _part_of(path: str, size: int, is_wanted: Callable[[str], bool]) -> AlreadyBufferedFile:
    """The file as far as the columns need it."""
    fs, plain = filesystem(path)
    start = max(0, size - FOOTER_BYTES)
    footer = fs.cat_file(plain, start=start, end=size)
    length = int.from_bytes(footer[-8:-4], "little") + 8
    if len(footer) < length <= size:
        start = size - length
        footer = fs.cat_file(plain, start=start, end=size)
    try:
        metadata = pq.read_metadata(io.BytesIO(footer))
    except (pa.ArrowException, ValueError, OSError) as error:
        raise _damaged(path, error) from error
    chunks = sorted(_chunks(metadata, is_wanted))
    starts, ends = [begin for begin, _ in chunks], [end for _, end in chunks]
    _, starts, ends = merge_offset_ranges([plain] * len(chunks), starts, ends, max_gap=GAP_BYTES)
    ranges = {(begin, end): fs.cat_file(plain, start=begin, end=end) for begin, end in zip(starts, ends, strict=True)}
    held: Mapping[tuple[int, int], bytes] = {(0, 4): b"PAR1"} | ranges | {(start, size): footer}
    return AlreadyBufferedFile(
        fs=None, path=plain, mode="rb", cache_type="parts", cache_options={"data": held}, size=size
    )


def _chunks(metadata: pq.FileMetaData, is_wanted: Callable[[str], bool]) -> Iterable[tuple[int, int]]:
    """Where the bytes of columns begin and end."""
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for place in range(row_group.num_columns):
            chunk = row_group.column(place)
            if is_wanted(chunk.path_in_schema.partition(".")[0]) or is_wanted(chunk.path_in_schema):
                begins = [chunk.data_page_offset, chunk.dictionary_page_offset]
                begin = min(offset for offset in begins if offset is not None)
                yield begin, begin + chunk.total_compressed_size


def _damaged(path: str, error: Exception) -> ConfigError:
    return ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}")
