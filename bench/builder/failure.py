"""What it means when a step comes to nothing: the attempt has failed, or its server is to be asked another time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.served.endpoint import NotNowError

REFUSALS: Final = frozenset({400, 413, 422})
"""Statuses by which a server refuses this one request: a forbidden subject, too long a text."""
REFUSED: Final = "refused by the server"
"""Reason of an attempt that such a refusal ended."""
MISTAKES: Final = frozenset({401, 403, 404, 405})
"""Statuses that tell of a wrong key, model or address: asking for another sample would not help."""


class StepFailedError(Exception):
    """This attempt at a sample has failed; `reason` is short and countable, `detail` tells the writer more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@contextmanager
def refusals() -> Iterator[None]:
    """Take a server's refusal of a request as the attempt's failure.

    Raises:
        StepFailedError: it refused.
        NotNowError: it gave no answer for another reason.
    """
    try:
        yield
    except NotNowError as error:
        if error.status not in REFUSALS:
            raise
        raise StepFailedError(REFUSED, error.told) from error
