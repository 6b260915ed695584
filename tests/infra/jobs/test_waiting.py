"""What people are told of units that are left to the next run."""

from __future__ import annotations

from collections import Counter

import pytest

from infra.command_line import CommandFailedError
from infra.jobs.ledger import Progress
from infra.jobs.waiting import check_none_waits


@pytest.mark.parametrize(
    ("waiting", "line"),
    [
        ({"a": 1}, "1 unit is not done and not judged: a; the same command goes on"),
        ({"a": 7}, "7 units are not done and not judged: a; the same command goes on"),
        ({"a": 1, "b": 5}, "6 units are not done and not judged: b (5); a (1); the same command goes on"),
        (
            {"a": 4, "b": 3, "c": 2, "d": 1},
            "10 units are .* a \\(4\\); b \\(3\\); c \\(2\\); …; the same command goes on",
        ),
    ],
)
def test_units_that_are_left_end_the_command_with_one_line(waiting: dict[str, int], line: str) -> None:
    check_none_waits(Progress(units=3))
    pattern = line if "\\" in line else line.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(CommandFailedError, match=rf"\A{pattern}\Z") as told:
        check_none_waits(Progress(waiting=Counter(waiting)))
    assert told.value.status == 1
