"""A process that ends between two of its writes and removals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

STEPS = ("write_atomically", "remove", "staged_tar")
"""Functions by which commits change what is stored."""


class KilledError(Exception):
    """The process ends here."""


@contextmanager
def killed_at(
    step: int | None, modules: Sequence[ModuleType], told: Callable[[], None] = lambda: None
) -> Iterator[list[str]]:
    """Inside, the process ends before the given write or removal; tells what was done before it.

    Args:
        step: counted from 0; None for a process that lives.
        modules: those that write and remove.
        told: called before each write and removal.
    """
    done: list[str] = []

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            told()
            if len(done) == step:
                raise KilledError
            done.append(f"{function.__name__} {arguments[0]}")
            return function(*arguments)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            for name in STEPS:
                if hasattr(module, name):
                    patch.setattr(module, name, before(getattr(module, name)))
        yield done
