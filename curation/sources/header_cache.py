"""What has been read of headers, kept in `RUN/plan/`: a header is read once, also when planning is interrupted.

    headers-<number>-<id>.parquet    some files each: uri, size, stamp, duration_s (null: the file cannot be read)

A part is written once and never changed. Where a file is in several, the one of the highest number counts. Parts are
merged when there are many: the merged one is written before the others are removed.
"""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.sources.header_readers import HeaderFile
from curation.sources.headers import Header
from infra.storage.files import join, list_files, read_bytes, remove, store_errors, write_atomically

FOLDER: Final = "plan"
MAX_PARTS: Final = 8
"""More are merged into one."""
PART_HEADERS: Final = 10_000
PART_S: Final = 20.0
"""A part is written after so many headers, or after so many seconds: what an interruption can lose."""
SCHEMA: Final = pa.schema(
    [("uri", pa.string()), ("size", pa.int64()), ("stamp", pa.string()), ("duration_s", pa.float64())]
)
_UNKNOWN: Final = -1


class HeaderCache:
    """The headers that a run has read so far."""

    def __init__(self, run: str, note: Callable[[str], None] = lambda _: None) -> None:
        """Args:
        run: the run directory.
        note: called with what a person should know: a part that is damaged, a directory that cannot be written.
        """
        self.folder = join(run, FOLDER)
        self._note = note
        self._parts: list[str] | None = None
        self._new: list[tuple[str, int | None, str | None, float | None]] = []
        self._written_s = time.monotonic()
        self._can_write = True

    def find(self, files: Sequence[HeaderFile]) -> tuple[np.ndarray, np.ndarray]:
        """Which headers are known, (N,) bool, and the durations in seconds, (N,); NaN where a file cannot be read.

        A header is known where size and stamp are as they are listed. A file of which neither is listed is known by
        its name.
        """
        table = self._load()
        if not table.num_rows or not files:
            return np.zeros(len(files), bool), np.full(len(files), np.nan)
        places = pc.index_in(pa.array([file.uri for file in files], pa.string()), value_set=table["uri"])
        found = places.is_valid().to_numpy(zero_copy_only=False)
        index = places.fill_null(0).to_numpy(zero_copy_only=False)
        sizes = np.array([_UNKNOWN if file.size is None else file.size for file in files])
        known_sizes = table["size"].fill_null(_UNKNOWN).to_numpy()[index]
        stamps = pa.array([file.stamp for file in files], pa.string())
        same_stamp = pc.fill_null(pc.equal(stamps, table["stamp"].take(pa.array(index))), fill_value=False)
        listed_stamp = stamps.is_valid().to_numpy(zero_copy_only=False)
        same = (sizes == _UNKNOWN) | (sizes == known_sizes)
        same &= ~listed_stamp | same_stamp.to_numpy()
        durations = table["duration_s"].to_numpy()[index]
        return found & same, np.where(found & same, durations, np.nan)

    def add(self, file: HeaderFile, header: Header) -> None:
        """Keep what was read, unless another try may find something else."""
        if header.fault is not None or (header.duration_s is None and file.stamp is None):
            return  # without a stamp, nothing would tell that a damaged file has been replaced
        self._new.append((file.uri, file.size, file.stamp, header.duration_s))
        if len(self._new) >= PART_HEADERS or time.monotonic() - self._written_s >= PART_S:
            self.flush()

    def flush(self) -> None:
        """Write down what is new."""
        if self._new:
            columns = zip(SCHEMA, zip(*self._new, strict=True), strict=True)
            self._write(pa.table([pa.array(values, field.type) for field, values in columns], schema=SCHEMA))
        self._new.clear()
        self._written_s = time.monotonic()

    def close(self) -> None:
        """Write down what is new, and merge the parts where there are many."""
        self.flush()
        if len(self._parts or ()) > MAX_PARTS and self._can_write:
            table = self._load()
            merged = list(self._parts or ())
            self._write(table)
            for part in merged:
                with store_errors():
                    remove(join(self.folder, part))

    def _load(self) -> pa.Table:
        """Every file once, as it was read last."""
        self._parts, tables = list_files(self.folder, ".parquet"), list[pa.Table]()
        for part in reversed(self._parts):
            path = join(self.folder, part)
            try:
                content = read_bytes(path)
            except FileNotFoundError:
                continue  # another process has just merged it
            try:
                tables.append(_parsed(content))
            except (pa.ArrowException, ValueError, OSError) as error:
                self._note(f"{path} is damaged, so its headers are read again: {' '.join(str(error).split())}")
        if len(tables) < 2:
            return tables[0] if tables else SCHEMA.empty_table()
        table = pa.concat_tables(tables)
        return table.take(_first_places(table["uri"]))

    def _write(self, table: pa.Table) -> None:
        if not self._can_write:
            return
        parts = list_files(self.folder, ".parquet") if self._parts is None else self._parts
        numbers = [int(number) for part in parts if (number := part.split("-")[1]).isdigit()]
        part = f"headers-{max(numbers, default=0) + 1:08d}-{uuid.uuid4().hex[:8]}.parquet"
        sink = io.BytesIO()
        pq.write_table(table, sink, write_page_checksum=True)
        try:
            with store_errors():
                write_atomically(join(self.folder, part), sink.getvalue())
        except OSError as error:
            # A plan can be looked at where nothing may be written.
            self._can_write = False
            self._note(f"headers cannot be kept in {self.folder} and will be read again: {error.strerror or error}")
            return
        self._parts = [*parts, part]


def _parsed(content: bytes) -> pa.Table:
    # Arrow's threads can abort the interpreter if they still run when it ends.
    file = pq.ParquetFile(io.BytesIO(content), pre_buffer=False, page_checksum_verification=True)
    return file.read(SCHEMA.names, use_threads=False).cast(SCHEMA)


def _first_places(uris: Any) -> pa.Array:
    """Where each name stands for the first time."""
    numbered = pa.table({"uri": uris, "place": pa.array(np.arange(len(uris)))})
    firsts = numbered.group_by("uri", use_threads=False).aggregate([("place", "min")])["place_min"]
    return firsts.combine_chunks().sort()
