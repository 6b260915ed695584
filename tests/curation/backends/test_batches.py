"""Shared batches: order, sharing between threads, blame, and what happens when memory runs out."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

from curation.backends.batches import Batched, out_of_memory
from infra.jobs import notes
from infra.jobs.machine_fault import MachineFaultError


class Doubling:
    """Doubles numbers; remembers its batches, fails on what it is told to, holds `room` items at most."""

    def __init__(self, room: int = 1000, bad: Sequence[int] = ()) -> None:
        self.batches: list[list[int]] = []
        self.room = room
        self.bad = set(bad)
        self.inside = threading.Lock()

    def __call__(self, items: Sequence[int]) -> list[int]:
        assert self.inside.acquire(blocking=False), "two batches at a time"
        try:
            self.batches.append(list(items))
            if len(items) > self.room:
                raise MemoryError
            if self.bad & set(items):
                raise ValueError("a bad number")
            return [2 * item for item in items]
        finally:
            self.inside.release()


def test_results_keep_the_order_and_batches_the_size() -> None:
    double = Doubling()
    assert Batched(double, size=3, what="doubling")(range(8)) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert [len(batch) for batch in double.batches] == [3, 3, 2]


def test_nothing_asked_nothing_run() -> None:
    double = Doubling()
    assert Batched(double, size=3, what="doubling")([]) == []
    assert double.batches == []


def test_threads_that_call_at_the_same_time_share_batches() -> None:
    first_in, go_on = threading.Event(), threading.Event()
    double = Doubling()

    def slow(items: Sequence[int]) -> list[int]:
        first_in.set()
        assert go_on.wait(10)
        return double(items)

    batched = Batched(slow, size=8, what="doubling")
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(batched, [0])
        assert first_in.wait(10)
        others = [pool.submit(batched, [10 * n, 10 * n + 1]) for n in range(1, 5)]
        while len(batched._queue) < 8:
            time.sleep(0.001)
        go_on.set()
        assert first.result(10) == [0]
        assert [other.result(10) for other in others] == [[20 * n, 20 * n + 2] for n in range(1, 5)]
    assert [len(batch) for batch in double.batches] == [1, 8]


def test_many_threads_get_their_own_results() -> None:
    batched = Batched(Doubling(), size=7, what="doubling")
    with ThreadPoolExecutor(8) as pool:
        ranges = [range(100 * n, 100 * n + n) for n in range(40)]
        assert list(pool.map(batched, ranges)) == [[2 * item for item in items] for items in ranges]


def test_a_batch_that_does_not_fit_is_halved_for_good_and_told() -> None:
    told: list[str] = []
    notes.listen(told.append)
    try:
        double = Doubling(room=3)
        batched = Batched(double, size=8, what="doubling")
        assert batched(range(10)) == list(range(0, 20, 2))
        assert batched.size == 2
        double.batches.clear()
        batched(range(6))
        assert [len(batch) for batch in double.batches] == [2, 2, 2]
    finally:
        notes.listen(None)
    assert told == [
        "doubling: no memory for a batch of 8; going on with batches of 4",
        "doubling: no memory for a batch of 4; going on with batches of 2",
    ]


def test_a_single_item_that_does_not_fit_is_the_machine_s_fault() -> None:
    batched = Batched(Doubling(room=0), size=1, what="doubling")
    with pytest.raises(MachineFaultError, match="doubling: no memory for a single item"):
        batched([1, 2])
    batched.function = Doubling()
    assert batched([3]) == [6]


def test_an_error_goes_to_the_call_that_caused_it() -> None:
    first_in, go_on = threading.Event(), threading.Event()
    double = Doubling(bad=[31])

    def slow(items: Sequence[int]) -> list[int]:
        first_in.set()
        assert go_on.wait(10)
        return double(items)

    batched = Batched(slow, size=8, what="doubling")
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(batched, [0])
        assert first_in.wait(10)
        good, bad = pool.submit(batched, [20, 21]), pool.submit(batched, [30, 31])
        while len(batched._queue) < 4:
            time.sleep(0.001)
        go_on.set()
        assert first.result(10) == [0]
        assert good.result(10) == [40, 42]
        with pytest.raises(ValueError, match="a bad number"):
            bad.result(10)


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), True),
        (RuntimeException("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 1"), True),
        (RuntimeException("[ONNXRuntimeError] : 6 : invalid rank"), False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("sizes must match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, is_memory: bool) -> None:
    assert out_of_memory(error) is is_memory


def test_an_empty_batch_size_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Batched(Doubling(), size=0, what="doubling")
