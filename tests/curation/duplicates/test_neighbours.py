"""The search among vectors: against comparing each with each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from curation.duplicates import neighbours
from curation.duplicates.neighbours import alike, unit

Vectors = npt.NDArray[np.int8]


def everything(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return np.ones(np.broadcast_shapes(first.shape, second.shape), bool)


def all_of_block(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return np.ones((len(rows), len(columns)), bool)


def groups(count: int, of: int, seed: int = 0) -> Vectors:
    """Groups of vectors near to one another."""
    random = np.random.default_rng(seed)
    centres = np.repeat(random.integers(-90, 90, (count, 42)), of, axis=0)
    made: Vectors = np.clip(centres + random.integers(-15, 16, centres.shape), -127, 127).astype(np.int8)
    return made


def found(vectors: Vectors, least: float) -> list[tuple[int, int]]:
    pairs = [pair for batch in alike(vectors, least, everything, all_of_block) for pair in zip(*batch, strict=True)]
    return [(int(first), int(second)) for first, second in pairs]


def by_hand(vectors: Vectors, least: float) -> set[tuple[int, int]]:
    near = np.triu(unit(vectors) @ unit(vectors).T, 1) >= least
    return {(int(first), int(second)) for first, second in zip(*np.nonzero(near), strict=True)}


def test_few_vectors_are_compared_each_with_each() -> None:
    vectors = groups(300, 2)
    pairs = found(vectors, 0.9)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == by_hand(vectors, 0.9)
    assert len(pairs) >= 300


def test_cells_find_what_comparing_all_finds_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "ONE_CELL", 500)
    vectors = groups(1500, 2)
    pairs, all_pairs = found(vectors, 0.9), by_hand(vectors, 0.9)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) <= all_pairs
    assert len(pairs) >= 0.99 * len(all_pairs)
    assert found(vectors, 0.9) == pairs


def test_zeros_are_like_nothing() -> None:
    vectors = groups(2, 2)
    vectors[:2] = 0
    assert found(vectors, 0.9) == [(2, 3)]
    assert found(np.zeros((5, 42), np.int8), 0.1) == []
    assert found(np.zeros((5, 0), np.int8), 0.1) == []


def test_a_crowd_that_looks_the_same_is_narrowed_down_and_what_is_not_wanted_is_left_out() -> None:
    vectors, asked = groups(1, 400), []

    def narrow(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        asked.append((len(rows), len(columns)))
        return np.asarray((rows[:, None] + 1) == columns[None])

    pairs = [
        pair
        for batch in alike(vectors, 0.8, lambda first, _: first != 7, narrow)
        for pair in zip(*map(np.ndarray.tolist, batch), strict=True)
    ]
    assert asked
    near = [(row, row + 1) for row in range(255) if row != 7]
    assert set(near) <= set(pairs)
    assert not any(first == 7 for first, _ in pairs)
