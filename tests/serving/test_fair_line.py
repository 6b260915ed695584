from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.fair_line import FairLine


def drained(line: FairLine) -> list[str]:
    return [line.next() for _ in range(len(line))]


def filled(names: list[str]) -> FairLine:
    line = FairLine()
    for name in names:
        line.join(name[0], name)
    return line


def test_clients_take_turns_and_each_keeps_its_order() -> None:
    line = filled(["a1", "a2", "a3", "b1", "c1", "b2"])
    assert line.order() == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert (len(line), line.waiting("a"), line.waiting("d")) == (6, 3, 0)
    assert drained(line) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    with pytest.raises(LookupError):
        line.next()


def test_a_client_that_comes_back_is_behind_those_that_wait() -> None:
    line = filled(["a1", "b1", "b2"])
    assert line.next() == "a1"
    line.join("a", "a2")
    assert drained(line) == ["b1", "a2", "b2"]


def test_one_that_leaves_holds_nobody_up() -> None:
    line = filled(["a1", "b1", "b2"])
    assert line.leave("b1")
    assert not line.leave("b1")
    assert drained(line) == ["a1", "b2"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40))
def test_nobody_is_passed_over_twice_by_another_client(steps: list[tuple[str, bool]]) -> None:
    line, waiting, number = FairLine(), dict[str, list[str]](), 0
    passed: dict[tuple[str, str], int] = {}
    for client, takes in steps:
        if takes and len(line):
            told, name = line.order(), line.next()
            assert told[0] == name
            taken = name[0]
            assert waiting[taken].pop(0) == name, "a client's own requests keep their order"
            for other, left in waiting.items():
                if other != taken and left:
                    passed[other, taken] = passed.get((other, taken), 0) + 1
                    assert passed[other, taken] == 1
            passed = {pair: count for pair, count in passed.items() if pair[0] != taken}
        else:
            number += 1
            line.join(client, f"{client}{number}")
            waiting.setdefault(client, []).append(f"{client}{number}")
