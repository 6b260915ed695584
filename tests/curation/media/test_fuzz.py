"""Damaged recordings neither crash nor hang what reads them, and leave no clip whose record is untrue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.worlds.damaged_media import fuzz, is_fault

BEGIN_ON_THE_WAY = (74, 390, 404, 583, 592, 782)
"""Recordings damaged so that another stream seems to begin on the way, which PyAV cannot name."""
ABSURD_RATE = (20795,)
"""Whose sound claims a sample rate that no file can have."""

UNSHOWN_PACKET, REFUSED_PACKET = (43669,), (8601,)
"""In a span that is copied: a packet that shows nothing, and one that no file can hold."""
AWAY = (45157,)
"""With weeks between two frames."""


def run(numbers: Iterable[int], folder: Path) -> Counter[str]:
    outcomes = dict(fuzz(numbers, folder))
    assert not {number: outcome for number, outcome in outcomes.items() if is_fault(outcome)}
    return Counter(outcomes.values())


def test_some_damaged_recordings(tmp_path: Path) -> None:
    outcomes = run([*range(40), *BEGIN_ON_THE_WAY, *ABSURD_RATE, *UNSHOWN_PACKET, *REFUSED_PACKET, *AWAY], tmp_path)
    assert outcomes["kept"] >= 1
    assert len(outcomes) > 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_damaged_recordings(tmp_path: Path) -> None:
    outcomes = run(range(1000, 2000), tmp_path)
    print(outcomes)
    assert outcomes.total() == 1000
    assert outcomes["kept"] >= 50
