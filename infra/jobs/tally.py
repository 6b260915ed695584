"""What a process counts while it works on units, such as the tokens that a server answered.

A worker's counts reach the ledger of its run when a unit ends, and are added up there: a counter that a process
publishes itself is gone with the process.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Final

Counted = tuple[str, ...]
"""A name of `NAMES` and the values of its labels."""

NAMES: Final = {
    "machine_faults": ("Tries that a fault of the machine broke off, such as a store that throttles", ("kind",)),
    "stage_seconds": ("Wall seconds that workers spent in a stage", ("stage",)),
    "served_requests": ("Requests to servers of models, by how they ended", ("server", "outcome")),
    "served_seconds": ("Wall seconds that workers waited for answers of servers of models", ("server",)),
    "served_tokens": ("Tokens that servers of models read (prompt) or wrote (completion)", ("model", "kind")),
}
"""What is counted → what it means, and its labels."""


class _Counts:
    """Those of this process that have not been taken yet."""

    lock = threading.Lock()
    values: dict[Counted, float] = defaultdict(float)  # noqa: RUF012 (one for the process)


def count(name: str, *labels: str, amount: float = 1.0) -> None:
    """Add to a count.

    Args:
        name: one of `NAMES`.
        labels: values of its labels, in order.
        amount: what is added; 0 or more.
    """
    assert len(labels) == len(NAMES[name][1]), (name, labels)
    with _Counts.lock:
        _Counts.values[name, *labels] += amount


def take() -> dict[Counted, float]:
    """What has been counted since the last call."""
    with _Counts.lock:
        taken = dict(_Counts.values)
        _Counts.values.clear()
    return taken
