from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from curation.browse.remembered import Remembered


def test_the_least_used_results_go_first() -> None:
    made: list[str] = []

    def twice(key: str) -> str:
        made.append(key)
        return key * 2

    squares = Remembered(twice, size_of=len, most=8)
    assert [squares(key) for key in ("aa", "bb", "aa", "cc", "aa", "bb")] == [
        "aaaa",
        "bbbb",
        "aaaa",
        "cccc",
        "aaaa",
        "bbbb",
    ]
    assert made == ["aa", "bb", "cc", "bb"]


def test_a_result_larger_than_the_bound_is_given_and_the_only_one_kept() -> None:
    made: list[int] = []

    def blank(size: int) -> bytes:
        made.append(size)
        return bytes(size)

    zeros = Remembered(blank, size_of=len, most=4)
    assert [len(zeros(size)) for size in (9, 9, 1, 9)] == [9, 9, 1, 9]
    assert made == [9, 1, 9]


def test_many_threads_make_one_result() -> None:
    made: list[str] = []
    begun = threading.Event()

    def slow(key: str) -> str:
        made.append(key)
        begun.wait(5)
        return key.upper()

    upper = Remembered(slow, size_of=len, most=100)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(upper, "a") for _ in range(8)]
        begun.set()
        assert {each.result() for each in waiting} == {"A"}
    assert made == ["a"]


def test_an_error_is_not_kept() -> None:
    asked_before: list[str] = []

    def now(key: str) -> str:
        asked_before.append(key)
        if len(asked_before) == 1:
            raise ValueError("not yet")
        return "there"

    asked = Remembered(now, size_of=len, most=100)
    with pytest.raises(ValueError, match="not yet"):
        asked("a")
    assert asked("a") == "there"
