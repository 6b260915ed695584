"""The index of a run as it is given away: one Parquet file for each shard, all with the same columns."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.shards.clip_table import read_scored_clips
from curation.shards.run_directory import RunDirectory

THUMBNAIL: Final = "thumbnail"


@dataclass(frozen=True, kw_only=True)
class Index:
    """All rows of a run.

    Shards differ in their columns: a score is missing where no clip of a shard came as far as its stage. Loaders of
    data sets want all files to have the same.
    """

    table: pa.Table = field(repr=False)
    """With the column `shard`."""
    directory: RunDirectory
    thumbnails: bool
    """Whether a shard's file has its thumbnails, which make up most of it. They are read when it is written."""

    @classmethod
    def read(cls, directory: RunDirectory, *, thumbnails: bool) -> Index:
        """Read a run's index, without its thumbnails.

        Raises:
            ConfigError: a shard's index is damaged, or has values of other types than another's.
        """
        table = read_scored_clips(directory, without={THUMBNAIL})
        return cls(table=table, directory=directory, thumbnails=thumbnails)

    @property
    def columns(self) -> list[str]:
        """Of each file. The name of the file says what the column `shard` does."""
        own = [name for name in self.table.column_names if name != "shard"]
        return [*own, THUMBNAIL] if self.thumbnails else own

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        """Where the rows of each shard begin, and how many there are: they stand together."""
        runs = pc.run_end_encode(self.table["shard"].combine_chunks())
        ends = runs.run_ends.to_pylist()
        starts = [0, *ends[:-1]]
        found = zip(runs.values.to_pylist(), starts, ends, strict=True)
        return {shard: (start, end - start) for shard, start, end in found}

    def file_of(self, shard: str) -> bytes:
        """The Parquet file of one shard; without rows where later shards have replaced them all."""
        first, count = self._places.get(shard, (0, 0))
        rows = self.table.slice(first, count).drop_columns(["shard"])
        if self.thumbnails:
            own = self.directory.rows_of(shard, [THUMBNAIL])
            pictures: Any = own[THUMBNAIL] if own.num_columns else pa.nulls(rows.num_rows)
            rows = rows.append_column(THUMBNAIL, pictures.cast(pa.binary()))
        sink = io.BytesIO()
        pq.write_table(rows, sink, write_page_checksum=True, compression="zstd")
        return sink.getvalue()


def counted(values: Any) -> dict[str, int]:
    """How often each value is there, the most frequent first; null counts as `none`."""
    found = pc.value_counts(pc.fill_null(values, "none")).to_pylist()
    counts = {str(each["values"]): int(each["counts"]) for each in found}
    return dict(sorted(counts.items(), key=lambda each: -each[1]))
