"""How many damaged samples a training bears before it stops: what it learns of the rest would not be what was asked."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from curation.command_line import CommandFailedError

FEW: Final = 2
"""Damaged samples that are no rate yet, at the very beginning of a training."""


class DamagedError(CommandFailedError):
    """Too many samples are damaged; what has been learnt is not saved as a result."""


def check_damaged(skipped: int, seen: int, *, limit: float, record: Path) -> None:
    """See after a step whether to go on.

    Args:
        skipped: damaged samples.
        seen: samples drawn, these among them.
        limit: the share that is borne.
        record: where they are written down.

    Raises:
        DamagedError: there are too many.
    """
    if skipped > max(limit * seen, FEW):
        raise DamagedError(
            f"{skipped} of the first {seen} samples are damaged or cannot be read, more than data.max_skipped "
            f"({limit:g}) allows; see {record}"
        )


def check_learnt(skipped: int, seen: int, *, record: Path) -> None:
    """See at the end of a training whether it has a result: few steps end before their damaged samples are a rate.

    Raises:
        DamagedError: none or less than half of the samples could be learnt from.
    """
    if seen and skipped == seen:
        raise DamagedError(
            f"nothing was learnt: all {seen} samples that were drawn are damaged or cannot be read; see {record}. "
            "No model is written"
        )
    if 2 * skipped > seen:
        raise DamagedError(
            f"too little was learnt: {skipped} of the {seen} samples that were drawn are damaged or cannot be read; "
            f"see {record}. No model is written"
        )
