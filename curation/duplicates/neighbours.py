"""Which vectors of a million are alike, without comparing each with each: they are sorted into cells around centres.

A vector is put into the cells of its nearest centres, and compared with the vectors that share a cell with it, all at
once, by matrix products. Up to 20,000 vectors there is one cell, and the search is exact.

Legend: N vectors, D their width, K cells.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from curation.duplicates.prints import Integers
from infra.bars import Told

Floats = npt.NDArray[np.float32]
Wanted = Callable[[Integers, Integers], npt.NDArray[np.bool_]]
"""Given both rows of pairs, `(P,)` each, says which of the pairs count."""
Narrow = Callable[[Integers, Integers], npt.NDArray[np.bool_]]
"""Given the rows and the columns of a block, `(R,)` and `(C,)`, says which of its pairs are worth a closer look."""

ONE_CELL: Final = 20_000
CELLS_OF_EACH: Final = 4
"""Cells that a vector is put into."""
SAMPLE_OF_EACH: Final = 32
"""Vectors of the sample for each centre."""
ROUNDS: Final = 6
BLOCK: Final = 256
WIDEST: Final = 32_768
"""Columns of a block."""
DENSE: Final = 0.02
"""Share of a block's pairs from which on all of them are narrowed down together."""


def alike(
    vectors: npt.NDArray[np.int8],
    least: float,
    wanted: Wanted,
    narrow: Narrow,
    read: Told = lambda _done, _of: None,
) -> Iterator[tuple[Integers, Integers]]:
    """Pairs of rows whose vectors have a cosine of at least `least`, the lower row first, in batches; each pair once.

    Args:
        vectors: `(N, D)`; rows of zeros are like nothing.
        least: cosine.
        wanted: given both rows of pairs, says which of them count at all.
        narrow: asked about blocks in which many pairs are alike, as where thousands of clips show one scene.
        read: told how many of how many cells are done.
    """
    rows = np.flatnonzero(vectors.any(1)) if vectors.shape[1] else np.zeros(0, np.int64)
    if len(rows) < 2:
        return
    search = _Search(vectors, rows, least, wanted, narrow)
    flat = search.cells.ravel()
    order = np.argsort(flat, kind="stable")
    members = (order // search.cells.shape[1]).astype(np.int64)
    edges = np.flatnonzero(np.diff(flat[order], prepend=-1, append=-1))
    for done, (begin, end) in enumerate(itertools.pairwise(edges.tolist()), start=1):
        yield from search.in_cell(int(flat[order[begin]]), members[begin:end])
        read(done, len(edges) - 1)


def unit(vectors: npt.NDArray[np.int8]) -> Floats:
    """Vectors of length 1; zeros stay zero."""
    wide = vectors.astype(np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-6), np.float32)


class _Search:
    """The vectors in their cells."""

    def __init__(
        self, vectors: npt.NDArray[np.int8], rows: Integers, least: float, wanted: Wanted, narrow: Narrow
    ) -> None:
        self.vectors = vectors
        self.rows = rows
        self.least = least
        self.wanted = wanted
        self.narrow = narrow
        self.cells = _cells(vectors, rows)

    def in_cell(self, cell: int, inside: Integers) -> Iterator[tuple[Integers, Integers]]:
        """The pairs of one cell, block by block."""
        for top in range(0, len(inside), BLOCK):
            above = inside[top : top + BLOCK]
            for side in range(top, len(inside), WIDEST):
                first, second = self._in_block(cell, above, inside[side : side + WIDEST])
                if len(first):
                    yield first, second

    def _in_block(self, cell: int, above: Integers, beside: Integers) -> tuple[Integers, Integers]:
        left, right = (unit(self.vectors[self.rows[each]]) for each in (above, beside))
        row, column = np.nonzero(left @ right.T >= self.least)
        keep = above[row] < beside[column]
        row, column = row[keep], column[keep]
        if self.cells.shape[1] > 1:
            # Two vectors may share several cells: they are compared in the first of them.
            keep = _first_shared(self.cells[above[row]], self.cells[beside[column]]) == cell
            row, column = row[keep], column[keep]
        keep = self.wanted(self.rows[above[row]], self.rows[beside[column]])
        row, column = row[keep], column[keep]
        if len(row) > max(BLOCK, DENSE * len(above) * len(beside)):
            keep = self.narrow(self.rows[above], self.rows[beside])[row, column]
            row, column = row[keep], column[keep]
        return self.rows[above[row]], self.rows[beside[column]]


def _first_shared(one: npt.NDArray[np.int32], other: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """`(P,)`: the lowest cell that two have in common; both are in order."""
    found = np.full(len(one), np.iinfo(np.int32).max, np.int32)
    for column in reversed(range(one.shape[1])):
        shared = (one[:, column, None] == other).any(1)
        found[shared] = one[shared, column]
    return found


def _cells(vectors: npt.NDArray[np.int8], rows: Integers) -> npt.NDArray[np.int32]:
    """`(N, cells of each)`: the cells of each vector, in order."""
    if len(rows) <= ONE_CELL:
        return np.zeros((len(rows), 1), np.int32)
    centres = _centres(vectors, rows, round(len(rows) ** 0.5))
    cells = np.empty((len(rows), CELLS_OF_EACH), np.int32)
    for begin in range(0, len(rows), 8192):
        near = unit(vectors[rows[begin : begin + 8192]]) @ centres.T
        cells[begin : begin + 8192] = np.argpartition(-near, CELLS_OF_EACH, axis=1)[:, :CELLS_OF_EACH]
    cells.sort(axis=1)
    return cells


def _centres(vectors: npt.NDArray[np.int8], rows: Integers, count: int) -> Floats:
    """`(K, D)`: K-Means on the sphere, of a sample that is the same each time."""
    random = np.random.default_rng(0)
    sample = unit(
        vectors[rows[np.sort(random.choice(len(rows), min(len(rows), SAMPLE_OF_EACH * count), replace=False))]]
    )
    centres = sample[random.choice(len(sample), count, replace=False)]
    for _ in range(ROUNDS):
        nearest = np.concatenate(
            [(sample[begin : begin + 8192] @ centres.T).argmax(1) for begin in range(0, len(sample), 8192)]
        )
        order = np.argsort(nearest, kind="stable")
        used, begins = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(sample[order], begins, axis=0)
        centres[used] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    return centres
