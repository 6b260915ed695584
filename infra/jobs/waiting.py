"""Units that a run leaves to the next one: the machine, or a server that they need, could not go on."""

from __future__ import annotations

from dataclasses import dataclass

from infra.command_line import CommandFailedError
from infra.jobs.ledger import Progress

MAX_NAMED_REASONS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingUnit:
    """Takes the place of a unit in the pools that are left, and is not committed."""

    key: str


class UnitsWaitError(CommandFailedError):
    """All that could be done is committed, and units are left whose turn is another run's."""


def check_none_waits(progress: Progress) -> None:
    """End a run that has left units.

    Raises:
        UnitsWaitError: it has; the message says how many, and why.
    """
    number = progress.waiting.total()
    if not number:
        return
    reasons = [
        f"{reason} ({count})" if len(progress.waiting) > 1 else reason
        for reason, count in progress.waiting.most_common(MAX_NAMED_REASONS)
    ]
    more = "; …" if len(progress.waiting) > MAX_NAMED_REASONS else ""
    raise UnitsWaitError(
        f"{number} unit{'s are' if number > 1 else ' is'} not done and not judged: {'; '.join(reasons)}{more}; "
        "the same command goes on"
    )
