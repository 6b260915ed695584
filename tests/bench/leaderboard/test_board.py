"""The leaderboard: ties, protocols kept apart, coverage, text and CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from rich.console import Console

from bench.leaderboard.board import Boards, build_boards
from bench.leaderboard.text import bounds, leaderboard, leaderboard_csv, number, p_text
from bench.report.contrasts import contrasts, slice_scores
from bench.stats.bootstrap import bootstrap_mean
from bench.values import Better
from tests.worlds.scored_rows import CATALOGUE, HOSTILE, row, rows, sample_ids

SAMPLES = sample_ids(28)


@pytest.fixture(scope="module")
def boards() -> Boards:
    return build_boards(rows(SAMPLES), SAMPLES, CATALOGUE, {})


def test_equal_methods_share_a_rank_whichever_way_is_good(boards: Boards) -> None:
    for column in boards.headline:
        assert [column.cells[name].rank for name in ("Good", "Same", "Poor")] == [1, 1, 3], column.key
        assert column.cells["Good"].ties == ("Same",)
    assert [column.value.better for column in boards.headline] == [Better.HIGHER, Better.LOWER, Better.ZERO]


def test_what_only_describes_is_shown_and_not_ranked(boards: Boards) -> None:
    column = next(one for one in boards.main if one.value.name == "num_onsets")
    assert column.cells["Good"].rank is None
    assert column.cells["Good"].interval is not None
    assert column not in boards.headline


def test_coverage_names_what_is_missing(boards: Boards) -> None:
    column = next(one for one in boards.main if one.metric == "mouth_sync")
    assert str(column.cells["Good"].coverage) == "n = 24/28; 4 no face"
    fewer = [one for one in rows(SAMPLES) if one.sample != SAMPLES[0] or one.method != "Good"]
    again = build_boards(fewer, SAMPLES, CATALOGUE, {})
    assert str(again.headline[0].cells["Good"].coverage) == "n = 27/28; 1 not scored"


def test_protocols_are_never_compared() -> None:
    old = [row(method="Old", sample=one, protocol="bbbb", values={"av_align": 0.9}) for one in SAMPLES]
    every = [*rows(SAMPLES), *old]
    boards = build_boards(every, SAMPLES, CATALOGUE, {})
    first = boards.headline[0]
    assert first.protocol == "aaaa"
    assert "Old" not in first.cells
    assert {(one.protocol, tuple(one.cells)) for one in boards.others} == {("bbbb", ("Old",))}
    assert all("Old" not in (found.a, found.b) for found in first.comparisons)
    todays = build_boards(every, SAMPLES, CATALOGUE, {"av_align": "bbbb"})
    assert todays.headline[0].protocol == "bbbb"
    assert todays.headline[0].cells["Old"].rank is None, "a rank among one says nothing"


def test_a_metric_without_any_value_still_says_why() -> None:
    boards = build_boards([row(sample=SAMPLES[0], reason="silent")], SAMPLES[:2], CATALOGUE, {})
    cell = boards.main[0].cells["Good"]
    assert cell.interval is None
    assert str(cell.coverage) == "n = 0/2; 1 not scored, 1 silent"
    unknown = build_boards([row(metric="new", sample=SAMPLES[0], reason="silent")], SAMPLES[:1], {}, {})
    assert str(unknown.main[0].cells["Good"].coverage) == "n = 0/1; 1 silent"


def test_too_few_samples_are_said_to_be_too_few() -> None:
    few = SAMPLES[:6]
    column = build_boards(rows(few), few, CATALOGUE, {}).headline[0]
    assert "cannot set 3 methods apart" in column.note
    assert {cell.rank for cell in column.cells.values()} == {1}
    assert build_boards(rows(SAMPLES), SAMPLES, CATALOGUE, {}).headline[0].note == ""


def test_controls_are_paired_by_video_and_tested_by_sample(boards: Boards) -> None:
    found = contrasts(rows(SAMPLES, controls=("frozen",)), boards.headline[0])
    assert [one.control for one in found] == ["frozen"]
    assert found[0].verdict == "worse"
    assert found[0].change.value == pytest.approx(-0.15, abs=0.02)
    assert (found[0].num_videos, found[0].num_samples) == (84, 28)
    same = [row(sample=one, control=control, values={"av_align": 0.3}) for one in SAMPLES for control in ("", "frozen")]
    assert contrasts(same, boards.headline[0])[0].verdict == "no different"


def test_so_few_samples_are_said_to_be_too_few_and_untouched_descriptions_are_left_out(boards: Boards) -> None:
    column = boards.headline[0]
    worse = [
        row(sample=one, control=control, values={"av_align": 0.1 if control else 0.3 + 0.01 * index})
        for index, one in enumerate(SAMPLES)
        for control in ("", "frozen")
    ]
    verdicts = {}
    for num in (4, 5, 6):
        verdicts[num] = contrasts([one for one in worse if one.sample in SAMPLES[:num]], column)[0].verdict
    assert verdicts == {4: "too few", 5: "too few", 6: "worse"}
    describing = replace(column, value=replace(column.value, better=Better.NEITHER))
    same = [row(sample=one, control=control, values={"av_align": 0.3}) for one in SAMPLES for control in ("", "frozen")]
    assert contrasts(same, describing) == []
    assert contrasts(worse, describing)[0].verdict == "different"


def test_slices_hold_what_is_in_them() -> None:
    scores = {"A": {"1": 1.0, "2": 3.0, "3": 5.0}}
    found = slice_scores(scores, "mode", {"sing": ["1", "2"], "talk": ["3", "4"], "hum": ["4"]})
    assert [cell.value if cell else None for cell in found.cells["A"].values()] == [2.0, 5.0, None]
    assert found.groups == {"sing": 2, "talk": 2, "hum": 1}


def test_the_terminal_s_table_and_the_csv_say_the_same(boards: Boards) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(leaderboard(boards))
    text = console.export_text()
    assert "n = 24/28; 4 no face" in text
    assert "#1=" in text
    lines = list(csv.DictReader(io.StringIO(leaderboard_csv(boards))))
    assert len(lines) == 3 * len(boards.main)
    mouth = next(line for line in lines if line["metric"] == "mouth_sync" and line["method"] == "Poor")
    assert (mouth["rank"], mouth["num_scored"], mouth["num_total"], mouth["reasons"]) == ("3", "24", "28", "4 no face")


def test_names_are_neither_markup_nor_formulas() -> None:
    rows_ = [row(method="=1+1", sample="[red]x", metric="[bold]m", reason=HOSTILE)]
    boards = build_boards(rows_, ["[red]x"], {}, {})
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(leaderboard(boards))
    assert "[bold]m" in console.export_text()
    assert next(csv.DictReader(io.StringIO(leaderboard_csv(boards))))["method"] == "'=1+1"


def test_numbers() -> None:
    assert [number(one) for one in (None, 0, 0.2554, -3.0, 12345.6)] == ["–", "0", "0.255", "-3.00", "12346"]
    assert bounds(bootstrap_mean([1.0])) == "1: too few for an interval"
    assert [p_text(one) for one in (0.00001, 0.0156)] == ["p < 0.001", "p = 0.016"]
