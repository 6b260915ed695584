"""Held-out samples shared out between ranks: as many forwards for each, and no video written twice."""

from typing import cast

import pytest

from training.monitoring.validation import HeldOut, share_of


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("num_items", [0, 1, 3, 4])
def test_each_counts_once_and_all_ranks_make_as_many(num_items: int, num_ranks: int) -> None:
    items = cast("list[HeldOut]", [f"clip {number}" for number in range(num_items)])
    shares = [share_of(items, rank, num_ranks) for rank in range(num_ranks)]
    assert len({len(share) for share in shares}) == 1
    assert sorted(str(item) for share in shares for item, counts in share if counts) == list(map(str, items))
