"""Damaged recordings neither crash nor hang what reads them, and leave no clip whose record is untrue."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.curation.media.fuzz import fuzz, is_fault


def run(numbers: range, folder: Path) -> Counter[str]:
    outcomes = dict(fuzz(numbers, folder))
    assert not {number: outcome for number, outcome in outcomes.items() if is_fault(outcome)}
    return Counter(outcomes.values())


def test_forty_damaged_recordings(tmp_path: Path) -> None:
    outcomes = run(range(40), tmp_path)
    assert outcomes["kept"] >= 1
    assert len(outcomes) > 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_damaged_recordings(tmp_path: Path) -> None:
    outcomes = run(range(1000, 2000), tmp_path)
    print(outcomes)
    assert outcomes.total() == 1000
    assert outcomes["kept"] >= 50
