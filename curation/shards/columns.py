"""Columns of an index as arrays, and the time of video that its spans cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]


def floats(column: Any) -> Floats:
    """An Arrow column as floats: NaN where it is null. Comparisons with NaN are false."""
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)


def numbers(table: pa.Table, name: str) -> Floats:
    """A column of a table as floats: NaN where it is null, and throughout where there is no such column."""
    if name not in table.column_names or pa.types.is_null(table[name].type):
        return np.full(table.num_rows, np.nan)
    return floats(table[name])


def strings(table: pa.Table, name: str) -> npt.NDArray[np.object_]:
    """A column of a table as texts: None where it is null, and throughout where there is no such column."""
    if name not in table.column_names or pa.types.is_null(table[name].type):
        return np.full(table.num_rows, None, object)
    values, codes = distinct(table[name])
    # Equal texts are one object: a million rows have few reasons and types.
    return values[codes]


def distinct(column: Any) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """The different values of a column of texts with None at the end, and the place of each row's among them."""
    encoded = column.dictionary_encode()
    encoded = encoded.unify_dictionaries().combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    values = np.array([*encoded.dictionary.to_pylist(), None], object)
    return values, pc.fill_null(encoded.indices, len(values) - 1).to_numpy(zero_copy_only=False).astype(np.int64)


def covered_seconds(sources: npt.NDArray[np.int64], starts: Floats, ends: Floats, num_sources: int) -> Floats:
    """(num_sources,): the length of the union of each source's spans of time.

    Args:
        sources: number of each span's source.
        starts: of the spans; spans without a start or an end are left out.
        ends: of the spans.
        num_sources: how many sources there are.
    """
    whole = np.isfinite(starts) & np.isfinite(ends)
    sources, starts, ends = sources[whole], starts[whole], ends[whole]
    if not len(starts):
        return np.zeros(num_sources)
    # Each source's time is laid behind that of the source before, so that one pass covers them all.
    apart = float(ends.max()) + 1.0
    order = np.lexsort((starts, sources))
    begins, stops = (starts + sources * apart)[order], (ends + sources * apart)[order]
    reached = np.concatenate([[-np.inf], np.maximum.accumulate(stops)[:-1]])
    gained = np.maximum(0.0, stops - np.maximum(begins, reached))
    return np.asarray(np.bincount(sources[order], weights=gained, minlength=num_sources), np.float64)
