"""What a failed step means: the attempt has failed, or its server must be asked again later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from infra.served.endpoint import NotNowError

REFUSALS: Final = frozenset({400, 413, 422})
"""Statuses by which a server refuses this one request: a forbidden subject, a text that is too long."""
REFUSED: Final = "refused by the server"
"""Reason of an attempt that such a refusal ended."""
MISTAKES: Final = frozenset({401, 403, 404, 405})
"""Statuses that mean a wrong key, model or address: asking for another sample would not help."""


class StepFailedError(Exception):
    """This attempt at a sample has failed; `reason` is short and countable, `detail` tells the writer more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a server's refusal of a request into the attempt's failure.

    Raises:
        StepFailedError: the server refused.
        NotNowError: the server gave no answer for another reason.
    """
    try:
        yield
    except NotNowError as error:
        if error.status not in REFUSALS:
            raise
        raise StepFailedError(REFUSED, error.told) from error
