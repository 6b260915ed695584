"""What people are told of units that are left to the next run."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from infra.command_line import CommandFailedError
from infra.jobs.progress import Progress
from infra.jobs.waiting import MAX_REASONS, check_none_left, count_left, why_ended


@pytest.mark.parametrize(
    ("waiting", "line"),
    [
        ({"a": 1}, "1 unit is not done and not judged: a; the same command goes on"),
        ({"a": 7}, "7 units are not done and not judged: a; the same command goes on"),
        ({"a": 1, "b": 5}, "6 units are not done and not judged: b (5); a (1); the same command goes on"),
        (
            {"a": 4, "b": 3, "c": 2, "d": 1},
            "10 units are not done and not judged: a (4); b (3); c (2); …; the same command goes on",
        ),
    ],
)
def test_units_that_are_left_end_the_command_with_one_line(waiting: dict[str, int], line: str) -> None:
    check_none_left(Progress(units=3), 0)
    with pytest.raises(CommandFailedError, match=rf"\A{re.escape(line)}\Z") as told:
        check_none_left(Progress(waiting=Counter(waiting)), sum(waiting.values()))
    assert told.value.status == 1


def test_a_run_that_stopped_says_why_and_one_that_was_ended_says_so_with_the_signals_status() -> None:
    line = "the run stopped: no space left for /scratch; 9 units are not done and not judged; the same command goes on"
    with pytest.raises(CommandFailedError, match=rf"\A{re.escape(line)}\Z") as told:
        check_none_left(Progress(waiting=Counter(full=2)), 9, ending="no space left for /scratch")
    assert told.value.status == 1
    line = "ended by SIGTERM: what was in work is committed, 9 units are left; the same command goes on"
    with pytest.raises(CommandFailedError, match=rf"\A{re.escape(line)}\Z") as told:
        check_none_left(Progress(), 9, ending="SIGTERM", is_signal=True)
    assert told.value.status == 143


@pytest.mark.parametrize(
    ("num_left", "ending", "why"),
    [(0, None, ""), (0, "SIGTERM", ""), (3, "SIGTERM", "SIGTERM"), (3, None, "the server is away (2); full (1)")],
)
def test_a_run_has_ended_early_where_units_are_left(num_left: int, ending: str | None, why: str) -> None:
    progress = Progress(waiting=Counter({"full": 1, "the server is away": 2}))
    assert why_ended(progress, num_left, ending=ending) == why


def test_reasons_that_differ_for_every_unit_are_counted_together() -> None:
    waiting = Counter[str]()
    for number in range(1000):
        count_left(waiting, f"the server refuses the request: {number} tokens", 1)
        count_left(waiting, "the server is away", 2)
    assert len(waiting) == MAX_REASONS + 1
    assert waiting["the server refuses the request"] == 1000 - (MAX_REASONS - 1)
    assert waiting["the server is away"] == 2000
