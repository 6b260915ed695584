from __future__ import annotations

import pytest

from bench.samples.samples import Sample
from bench.samples.slices import duration_slice, slices_of


@pytest.mark.parametrize(
    ("seconds", "label"),
    [(0.5, "0-10 s"), (10.0, "10-20 s"), (28.0, "27-30 s"), (30.0, "27-30 s"), (31.0, "over 30 s")],
)
def test_duration_slices(seconds: float, label: str) -> None:
    assert duration_slice(seconds) == label
    assert duration_slice(None) == "unknown"


def test_a_sample_is_in_a_group_of_every_slicing() -> None:
    assert slices_of(Sample(id="0012_comic_sing_cn_unknown", prompt="")) == {
        "category": "comic",
        "mode": "sing",
        "language": "cn",
        "gender": "unknown",
        "shot": "unknown",
        "duration": "unknown",
    }
