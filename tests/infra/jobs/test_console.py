"""What people see while a run goes on."""

from __future__ import annotations

import io
import time
from collections import Counter

import pytest
from rich.console import Console

from infra.jobs.console import Display, Words, display
from infra.jobs.progress import Progress

CURATION = Words(doing="curating", counts="units", kept="kept", rejected="rejected")
ENCODING = Words(doing="encoding", counts="clips", kept="encoded", rejected="skipped")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def lines(drawing: Display) -> list[str]:
    assert isinstance(drawing.console.file, io.StringIO)
    return drawing.console.file.getvalue().splitlines()


def test_without_a_terminal_a_line_comes_soon_then_one_a_minute_and_one_at_the_end(clock: list[float]) -> None:
    with display(Console(file=io.StringIO(), width=80), 28, CURATION) as drawing:
        drawing.show(Progress())
        assert lines(drawing) == []
        for second in range(150):
            clock[0] = 1000.0 + second
            drawing.show(Progress(units_in_work=2, in_work=second, rejected=Counter({"quality/blurred_picture": 7})))
        assert [line.partition(";")[0] for line in lines(drawing)] == ["0/28 units"] * 3
        for _ in range(2):
            drawing.show(Progress(units=28, clips=150, kept=9))
        assert len(lines(drawing)) == 4
    assert lines(drawing)[1].startswith("0/28 units; 2 in work; 61 clips (1 a second), 0 kept; rejected: quality/blurr")
    assert lines(drawing)[3] == "28/28 units; 150 clips (1 a second), 9 kept"


def test_a_start_that_takes_long_is_told_too(clock: list[float]) -> None:
    with display(Console(file=io.StringIO(), width=80), 28, CURATION) as drawing:
        clock[0] += 61.0
        drawing.show(Progress())
    assert lines(drawing) == ["0/28 units; starting the workers"]


def test_what_waits_for_its_commit_is_done_and_what_is_in_work_is_not() -> None:
    with display(Console(file=io.StringIO(), width=80), 28, CURATION) as drawing:
        drawing.show(Progress(units=4, units_finished=3, units_in_work=2, clips=8, in_work=9))
        assert drawing.bar.tasks[0].completed == 7
    assert lines(drawing)[0].startswith("7/28 units; 2 in work; 17 clips")


def test_encoding_counts_clips_as_they_are_encoded() -> None:
    with display(Console(file=io.StringIO(), width=80), 30, ENCODING) as drawing:
        drawing.show(Progress(units=1, clips=16, kept=16, units_in_work=1, in_work=4))
    assert lines(drawing)[0].startswith("20/30 clips; 1 in work; 20 clips")


def test_a_terminal_has_a_bar() -> None:
    screen = io.StringIO()
    with display(Console(file=screen, width=100, force_terminal=True), 28, CURATION) as drawing:
        drawing.show(Progress(units_in_work=2, in_work=3))
    assert "0/28" in screen.getvalue()
    assert "2 in work; 3 clips" in screen.getvalue()


def test_what_workers_tell_is_a_line_each_told_once() -> None:
    with display(Console(file=io.StringIO(), width=80, markup=False), 28, CURATION) as drawing:
        drawing.show(Progress(notes=["batch [4] halved"]))
        drawing.show(Progress(notes=["batch [4] halved", "the server answers again"]))
    assert lines(drawing) == ["batch [4] halved", "the server answers again"]


def test_on_a_terminal_notes_stand_above_the_bar() -> None:
    screen = io.StringIO()
    with display(Console(file=screen, width=100, force_terminal=True, markup=False), 28, CURATION) as drawing:
        drawing.show(Progress(units_in_work=2, notes=["batch [4] halved"]))
    assert screen.getvalue().count("batch [4] halved") == 1
    assert screen.getvalue().index("batch [4] halved") < screen.getvalue().rindex("0/28")


def test_units_that_are_left_to_the_next_run_are_told_and_waited_for_no_more() -> None:
    with display(Console(file=io.StringIO(), width=80), 3, CURATION) as drawing:
        drawing.show(Progress(units=1, clips=4, kept=1, waiting=Counter(away=1)))
        drawing.show(Progress(units=2, clips=8, kept=2, waiting=Counter(away=1)))
    assert lines(drawing)[0].startswith("1/3 units; 1 left to the next run; 4 clips")
    assert lines(drawing)[-1].startswith("2/3 units; 1 left to the next run; 8 clips")
    assert len(lines(drawing)) == 2
