"""Batches that threads share: several sources are in work at once, and their pictures go through a model together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from infra.jobs.machine_fault import MachineFaultError
from infra.jobs.notes import tell

X = TypeVar("X")
Y = TypeVar("Y")

NO_MEMORY: Final = (
    "out of memory",
    "can't allocate memory",  # torch on a CPU
    "failed to allocate memory",  # onnxruntime
    "bad_alloc",
    "alloc_failed",  # cuBLAS and cuDNN
)
"""What messages of runtimes say, in lower case, when memory ran out: torch may raise a bare
RuntimeError, and onnxruntime's errors tell it only there."""


@dataclass(slots=True)
class _Call(Generic[Y]):
    """One caller's items: what is still to come, and what went wrong."""

    results: dict[int, Y]
    num_items: int
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.error is not None or len(self.results) == self.num_items


@dataclass(slots=True)
class _Item(Generic[X, Y]):
    """One item in the queue, with the call that waits for it and its place there."""

    value: X
    call: _Call[Y]
    place: int


class Batched(Generic[X, Y]):
    """A function of many items, called by many threads at once in batches of at most `size`.

    One of the waiting threads runs the next batch while the others queue up theirs, so the function itself never runs
    twice at a time. Where a batch does not fit the memory it is halved, for good, and the person is told.
    """

    def __init__(self, function: Callable[[Sequence[X]], Sequence[Y]], *, size: int, what: str) -> None:
        """Run `function` on batches of at most `size`.

        Args:
            function: gives one result for each item, whatever else is in the batch.
            size: items in a batch at most.
            what: names the model in messages.
        """
        if size < 1:
            raise ValueError(f"{what}: a batch must hold at least 1, got {size}")
        self.function = function
        self.size = size
        self.what = what
        self._queue: deque[_Item[X, Y]] = deque()
        self._changed = threading.Condition()
        self._busy = False

    def __call__(self, items: Sequence[X]) -> list[Y]:
        """As many results as items, in their order.

        Raises:
            MachineFaultError: one item alone does not fit the memory.
            Exception: what the function raised on the items of this call; other callers do not see it.
        """
        call: _Call[Y] = _Call(results={}, num_items=len(items))
        with self._changed:
            self._queue.extend(_Item(value, call, place) for place, value in enumerate(items))
        while (batch := self._next(call)) is not None:
            try:
                self._run(batch)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
        if call.error is not None:
            raise call.error
        return [call.results[place] for place in range(len(items))]

    def _next(self, call: _Call[Y]) -> list[_Item[X, Y]] | None:
        """The batch that this thread has to run; None when its own call is done."""
        with self._changed:
            self._changed.wait_for(lambda: call.done or not self._busy)
            if call.done:
                return None
            self._busy = True
            batch: list[_Item[X, Y]] = []
            while self._queue and len(batch) < self.size:
                item = self._queue.popleft()
                if item.call.error is None:
                    batch.append(item)
            return batch

    def _run(self, batch: list[_Item[X, Y]]) -> None:
        """Run one batch and hand out results or errors."""
        while batch:
            part = batch[: self.size]
            try:
                results = self.function([item.value for item in part])
            except Exception as error:  # noqa: BLE001 (whatever it is, it belongs to the callers)
                if not out_of_memory(error):
                    self._blame(part, error)
                    batch = batch[len(part) :]
                    continue
            except BaseException as error:
                for item in batch:
                    item.call.error = error
                raise
            else:
                assert len(results) == len(part), f"{self.what} gave {len(results)} results for {len(part)} items"
                for item, result in zip(part, results, strict=True):
                    item.call.results[item.place] = result
                batch = batch[len(part) :]
                continue
            # Out of the except block on purpose: the error's frames hold the tensors that filled the memory.
            batch = self._halve(part) + batch[len(part) :]

    def _halve(self, part: list[_Item[X, Y]]) -> list[_Item[X, Y]]:
        """What is left to run of a part that did not fit: all of it in smaller batches, or nothing of a single item."""
        if len(part) == 1:
            part[0].call.error = MachineFaultError(f"{self.what}: no memory for a single item")
            return []
        self.size = len(part) // 2
        tell(f"{self.what}: no memory for a batch of {len(part)}; going on with batches of {self.size}")
        return part

    def _blame(self, part: list[_Item[X, Y]], error: Exception) -> None:
        """Give the error to the call that caused it: of several calls in the batch, each is tried alone."""
        calls = list({id(item.call): item.call for item in part}.values())
        if len(calls) == 1:
            calls[0].error = error
            return
        for call in calls:
            self._run([item for item in part if item.call is call])


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, of the machine or of the accelerator."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the latter is torch's
        return True
    from_runtime = isinstance(error, RuntimeError) or type(error).__module__.startswith("onnxruntime.")
    return from_runtime and any(phrase in str(error).lower() for phrase in NO_MEMORY)
