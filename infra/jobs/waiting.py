"""Units that a run leaves to the next one: the machine, or a server that they need, could not go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import ClassVar, Final

from infra.command_line import CommandFailedError
from infra.jobs.progress import Progress

MAX_NAMED_REASONS: Final = 3
MAX_REASONS: Final = 20
"""Reasons that are counted each by itself; what a server answers may be different for every unit."""


class UnitsWaitError(CommandFailedError):
    """All that could be done is committed, and units are left whose turn is another run's."""


class EndedBySignalError(UnitsWaitError):
    """The run was told to end."""

    status: ClassVar[int] = 143
    """As of a process that SIGTERM has ended."""


def check_none_left(progress: Progress, num_left: int, *, ending: str | None = None, is_signal: bool = False) -> None:
    """End a run that has left units.

    Args:
        progress: its totals.
        num_left: units that are not committed.
        ending: why it let nothing begin any more; None if it did all that it could.
        is_signal: whether that was a signal.

    Raises:
        UnitsWaitError: units are left; the message says how many, and why.
    """
    if not num_left:
        return
    number = progress.waiting.total()
    waiting = f"{number} unit{'s are' if number > 1 else ' is'} not done and not judged: {reasons(progress.waiting)}"
    units = f"{num_left} unit{'s are' if num_left > 1 else ' is'}"
    if is_signal:
        more = f" ({waiting})" if number else ""
        raise EndedBySignalError(
            f"ended by SIGTERM: what was in work is committed, {units} left{more}; the same command goes on"
        )
    if ending is not None:
        raise UnitsWaitError(f"the run stopped: {ending}; {units} not done and not judged; the same command goes on")
    raise UnitsWaitError(f"{waiting}; the same command goes on")


def count_left(waiting: Counter[str], reason: str, number: int) -> None:
    """Count units that are left; beyond `MAX_REASONS`, by what stands before the first colon of a new reason."""
    known = reason in waiting or len(waiting) < MAX_REASONS
    waiting[reason if known else reason.partition(": ")[0]] += number


def why_ended(progress: Progress, num_left: int, *, ending: str | None = None) -> str:
    """Why a run ends before all is done, in a phrase; empty where all is.

    Args:
        progress: its totals.
        num_left: units that are not committed.
        ending: why it let nothing begin any more; None if it did all that it could.
    """
    if not num_left:
        return ""
    return ending or reasons(progress.waiting)


def reasons(waiting: Mapping[str, int]) -> str:
    """Why units wait, the most frequent reasons first, with their numbers if there are several."""
    ordered = sorted(waiting.items(), key=lambda item: -item[1])
    named = [f"{reason} ({count})" if len(ordered) > 1 else reason for reason, count in ordered[:MAX_NAMED_REASONS]]
    return "; ".join(named) + ("; …" if len(ordered) > MAX_NAMED_REASONS else "")
