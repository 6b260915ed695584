import threading
from collections.abc import Generator

import pytest

from model.ahead import ahead

WAIT_S = 60


def test_the_items_in_their_order() -> None:
    assert list(ahead(number for number in range(100))) == list(range(100))
    assert list(ahead(number for number in range(0))) == []


def test_an_item_is_made_while_the_one_before_it_is_used() -> None:
    in_use = [threading.Event() for _ in range(5)]

    def items() -> Generator[int, None, None]:
        for index in range(5):
            # Were the items made one after the other, nobody would use the one before.
            if index:
                assert in_use[index - 1].wait(WAIT_S)
            yield index

    for item in ahead(items()):
        in_use[item].set()
    assert all(event.is_set() for event in in_use)


def test_one_item_waits_and_no_more() -> None:
    made = []

    def items() -> Generator[int, None, None]:
        for index in range(6):
            made.append(index)
            yield index

    for item in ahead(items()):
        assert len(made) <= item + 2


def test_the_thread_s_error_comes_in_the_item_s_place() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        raise ValueError("the second cannot be made")

    coming = ahead(items())
    assert next(coming) == 1
    with pytest.raises(ValueError, match="the second cannot be made"):
        next(coming)


@pytest.mark.parametrize("way", ["close", "drop", "error"])
def test_no_thread_is_left_when_the_items_are_left(way: str) -> None:
    stopping, before = threading.Event(), threading.active_count()

    def items() -> Generator[int, None, None]:
        yield 1
        assert stopping.wait(WAIT_S)  # a long item, which breaks off
        yield 2

    coming = ahead(items(), stopping)
    assert next(coming) == 1
    assert threading.active_count() == before + 1
    if way == "close":
        coming.close()
    elif way == "drop":
        del coming
    else:
        with pytest.raises(RuntimeError, match="mine"):
            coming.throw(RuntimeError("mine"))
    assert stopping.is_set()
    assert threading.active_count() == before
