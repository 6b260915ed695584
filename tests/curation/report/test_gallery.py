"""Which clips are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from curation.report.gallery import draw
from tests.worlds.report_page import report
from tests.worlds.synthetic_run import sources, write_run


def test_the_draw_is_bounded_seeded_and_covers_every_rule() -> None:
    codes = np.array([0] * 1000 + [1] * 3 + [2] * 50)
    limits = np.array([24, 6, 6])
    chosen = draw(codes, limits, 0)
    assert np.bincount(codes[chosen]).tolist() == [24, 3, 6]
    assert len(set(chosen.tolist())) == 33
    assert np.array_equal(chosen, draw(codes, limits, 0))
    assert not np.array_equal(chosen, draw(codes, limits, 1))


def test_the_draw_does_not_depend_on_how_rows_are_packed(tmp_path: Path) -> None:
    write_run(str(tmp_path / "one"), sources())
    for index, unit in enumerate(sources()):
        write_run(str(tmp_path / "many"), [unit], session=str(index))
    one, many = (report(tmp_path / run, num_kept=2, num_per_rule=1, seed=3) for run in ("one", "many"))
    assert [card.get("title") for card in one.all("p")] == [card.get("title") for card in many.all("p")]
    assert one.cards("kept") == 2
