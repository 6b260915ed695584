"""The rows that a query asks for: found, ordered, counted."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.browse.collection import SOURCE, Collection
from curation.browse.query import Query, Range, is_numeric
from curation.shards.columns import covered_seconds, floats

FACETS: Final = ("state", "rule", "audio_reason", "change", "change_rule")
"""Columns whose values are counted beside every selection; those of a comparison where there is one."""
NUM_VALUES: Final = 40
"""Values of a column that are listed at most."""
MOST_NUMBERS: Final = 12
"""Different numbers up to which they are listed too: counts, not measurements."""
NUM_BARS: Final = 32
"""Of a histogram."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The rows of a query."""

    collection: Collection
    places: npt.NDArray[np.int64]
    """Of the rows in the collection's table, in the order asked for."""
    facets: Mapping[str, list[tuple[str | None, int]]]
    """Values of each of `FACETS` with their rows, most frequent first. They count what all other parts of the query
    leave, so that they say what another choice would give."""

    @property
    def num_clips(self) -> int:
        """Rows that are clips, not sources without any."""
        states = self.collection.table["state"].take(self.places)
        return int(len(states) - (pc.sum(pc.equal(states, SOURCE)).as_py() or 0))

    @property
    def seconds(self) -> float:
        """Time of video that the clips show, each second of a source once, however many clips and crops show it."""
        table = self.collection.table
        clips = self.places[np.asarray(pc.not_equal(table["state"].take(self.places), SOURCE))]
        starts, ends = (floats(table[name].take(clips)) for name in ("start_s", "end_s"))
        sources = self.collection.source_codes
        return float(covered_seconds(sources[clips], starts, ends, int(sources.max(initial=0)) + 1).sum())

    def rows(self, first: int, count: int, columns: Iterable[str]) -> list[dict[str, Any]]:
        """Some of the rows, with some of the columns."""
        found: list[dict[str, Any]] = (
            self.collection.table.select(list(columns)).take(self.places[first : first + count]).to_pylist()
        )
        return found


def select(collection: Collection, query: Query) -> Selection:
    """Find the rows of a query and count their facets."""
    table = collection.table
    masks: dict[str, Mask] = {}
    if query.words:
        masks["words"] = _all_of(
            np.asarray(pc.match_substring(collection.searched, word), bool) for word in query.words
        )
    for column, values in query.values.items():
        masks[f"is.{column}"] = _has_one(table[column], values)
    for column, bounds in query.ranges.items():
        masks[f"in.{column}"] = _is_within(table[column], bounds)
    everything = np.ones(table.num_rows, bool)
    wanted = functools.reduce(np.logical_and, masks.values(), everything)
    places = np.flatnonzero(wanted)
    facets = {}
    for column in FACETS:
        if column in table.column_names:
            others = (mask for name, mask in masks.items() if name != f"is.{column}")
            rest = functools.reduce(np.logical_and, others, everything)
            facets[column] = counts(table[column].filter(pa.array(rest)))
    return Selection(collection=collection, places=_ordered(table, places, query), facets=facets)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How a column's values are spread over a selection."""

    values: list[tuple[str | None, int]]
    """The most frequent, and None for rows without a value; empty for numbers that are not counts."""
    num_values: int
    """Different ones in all."""
    low: float | None = None
    high: float | None = None
    bars: tuple[int, ...] = ()
    """Rows in equal parts from `low` to `high`; empty where there are no numbers."""


def spread(selection: Selection, column: str) -> Spread:
    """How a column's values are spread over the rows of a selection."""
    values = selection.collection.table[column].take(selection.places)
    different = pc.count_distinct(values, mode="only_valid").as_py()
    is_number = is_numeric(values.type)
    listed = counts(values)[:NUM_VALUES] if not is_number or different <= MOST_NUMBERS else []
    found = floats(values) if is_number else np.zeros(0)
    found = found[np.isfinite(found)]
    if not len(found):
        return Spread(values=listed, num_values=different)
    low, high = float(found.min()), float(found.max())
    bars, _ = np.histogram(found, bins=NUM_BARS, range=(low, high))
    return Spread(values=listed, num_values=different, low=low, high=high, bars=tuple(int(bar) for bar in bars))


def counts(column: Any) -> list[tuple[str | None, int]]:
    """The values of a column as text with how often each occurs, most frequent first; None for no value."""
    pairs = [(as_text(item["values"]), int(item["counts"])) for item in pc.value_counts(column).to_pylist()]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0] or ""))


def as_text(value: Any) -> str | None:
    """A value as a query spells it: `true`, `3`, `0.25`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return None if math.isnan(value) else f"{value:.12g}"
    return None if value is None else str(value)


def _all_of(masks: Iterable[Mask]) -> Mask:
    return functools.reduce(np.logical_and, masks)


def _has_one(column: Any, values: Iterable[str | None]) -> Mask:
    if pa.types.is_floating(column.type):
        return _has_number(floats(column), values)
    texts = column if pa.types.is_string(column.type) else column.cast(pa.string())
    found = np.asarray(pc.is_in(texts, pa.array([value for value in values if value is not None], pa.string())), bool)
    return found | np.asarray(pc.is_null(column), bool) if None in values else found


def _has_number(found: npt.NDArray[np.float64], wanted: Iterable[str | None]) -> Mask:
    mask = np.zeros(len(found), bool)
    for value in wanted:
        try:
            mask |= np.isnan(found) if value is None else np.isclose(found, float(value), rtol=1e-11, atol=0.0)
        except ValueError:
            continue  # a word is no number's value
    return mask


def _is_within(column: Any, bounds: Range) -> Mask:
    found = floats(column)
    return (found >= bounds.low) & (found <= bounds.high)


def _ordered(table: pa.Table, places: npt.NDArray[np.int64], query: Query) -> npt.NDArray[np.int64]:
    """The rows in the order asked for: those without a value last, equal ones in the order of their keys."""
    if query.sort == "key" and not query.descending:
        return places
    column = table[query.sort].take(places)
    order = "descending" if query.descending else "ascending"
    found = pc.array_sort_indices(column.combine_chunks(), order=order, null_placement="at_end")
    return np.asarray(places[found.to_numpy()], np.int64)
