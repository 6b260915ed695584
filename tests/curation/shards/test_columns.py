"""Columns as arrays, and the time that spans cover."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.shards.columns import covered_seconds, numbers, strings

TABLE = pa.table({"score": [1.5, None], "count": [1, 2], "word": ["a", None], "empty": pa.nulls(2)})


def test_what_is_not_there_is_nan_or_none() -> None:
    assert np.array_equal(numbers(TABLE, "score"), [1.5, np.nan], equal_nan=True)
    assert numbers(TABLE, "count").tolist() == [1.0, 2.0]
    assert strings(TABLE, "word").tolist() == ["a", None]
    for name in ("empty", "gone"):
        assert np.isnan(numbers(TABLE, name)).all()
    assert strings(TABLE, "gone").tolist() == [None, None]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(1, 20)), max_size=12))
def test_covered_seconds_are_those_of_the_union(spans: list[tuple[int, int, int]]) -> None:
    unions = [
        {second for of, start, length in spans if of == source for second in range(start, start + length)}
        for source in range(4)
    ]
    sources, starts, lengths = (np.array([span[at] for span in spans], np.int64) for at in range(3))
    covered = covered_seconds(sources, starts.astype(float), (starts + lengths).astype(float), 4)
    assert covered.tolist() == pytest.approx([len(union) for union in unions])


def test_spans_without_an_end_cover_nothing() -> None:
    ends = np.array([np.nan, 3.0])
    assert covered_seconds(np.array([0, 1]), np.array([1.0, np.nan]), ends, 2).tolist() == [0.0, 0.0]
