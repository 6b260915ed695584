"""Work that goes on while training does, in a thread of every rank."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import torch.distributed as dist
from torch.distributed import ProcessGroup

from training.distributed.ranks import Ranks

T = TypeVar("T")

_PATIENCE: Final = timedelta(days=1)
"""How long a rank may take longer than another."""


class Background:
    """One piece of work at a time; all ranks start the same ones in the same order.

    The ranks' threads exchange values through a group of their own: two threads must not use one group at once.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._group: ProcessGroup | None = None
        self._thread: threading.Thread | None = None
        self._problem: str | None = None
        self._fault: BaseException | None = None

    def start(self, work: Callable[[], str | None]) -> None:
        """Begin with some work, which returns a problem, the same on all ranks, or None. The one before has ended."""
        assert self._thread is None
        if self._group is None and self._ranks.world > 1:
            self._group = dist.new_group(backend="gloo", timeout=_PATIENCE)
        # A daemon, so that a second ctrl-C ends the process.
        self._thread = threading.Thread(target=self._run, args=(work,), name="background", daemon=True)
        self._thread.start()

    def gather(self, value: T) -> list[T]:
        """The value of every rank, in the order of ranks; for the work only."""
        if self._group is None:
            return [value]
        values: list[Any] = [None] * self._ranks.world
        dist.all_gather_object(values, value, group=self._group)
        return values

    @property
    def has_failed(self) -> bool:
        """Whether the work has ended with a problem that `finish` has not returned yet."""
        thread = self._thread
        return thread is not None and not thread.is_alive() and bool(self._problem or self._fault)

    def finish(self) -> str | None:
        """Wait for the work; returns its problem, once."""
        if self._thread is None:
            return None
        self._thread.join()
        self._thread = None
        problem, fault, self._problem, self._fault = self._problem, self._fault, None, None
        if fault is not None:
            raise fault
        return problem

    def close(self) -> None:
        """Give the group up, after `finish`."""
        if self._group is not None:
            dist.destroy_process_group(self._group)
            self._group = None

    def _run(self, work: Callable[[], str | None]) -> None:
        try:
            self._problem = work()
        except BaseException as error:  # noqa: BLE001 (raised again where the work is waited for)
            self._fault = error
