"""Waiting for a served model that is away, restarting or overloaded, rather than judging without it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from infra.jobs.deadlines import put_off_deadlines
from infra.jobs.machine_fault import MachineFaultError
from infra.jobs.notes import tell
from infra.served.endpoint import HOPELESS, NotNowError

T = TypeVar("T")

FIRST_PAUSE_S = 1.0
"""Doubled with every further try."""
MAX_PAUSE_S: Final = 20.0
"""A server that loads a large model is back within minutes: asking more often than this tells nothing sooner."""


class ServerAwayError(MachineFaultError):
    """A server gave no answer for as long as one may wait for it."""


class _Away:
    """The servers that this process waits for: its threads tell of each only once, and wait for it together."""

    lock = threading.Lock()
    since_s: dict[str, float] = {}  # noqa: RUF012 (one for the process)
    """By server, when it failed for the first time after its last answer to anybody here."""
    told: set[str] = set()  # noqa: RUF012
    """Those of which a person has been told."""


def patiently(ask: Callable[[], T], *, server: str, patience_s: float) -> T:
    """What `ask` returns, asked again while the server cannot answer.

    A server cannot answer while it refuses or resets connections, lets `ask` run into its timeout, has too many
    requests (429), fails (5xx), or while something in its place answers in another protocol. What the server refuses
    for good (`HOPELESS`: a wrong request, key or model) is not asked again.

    Args:
        ask: one request; it need not try again itself.
        server: what a person is told that it is waited for.
        patience_s: how long to wait, from the first failure on; 0 to ask once. A server that has given nobody in this
            process an answer for so long is asked once by each later call: if every source waited anew for a server
            that stays away, a run of thousands would not end.

    Raises:
        ServerAwayError: no answer for `patience_s`.
        NotNowError: the server refused for good.
    """
    first_s, pause_s = float("inf"), FIRST_PAUSE_S
    while True:
        try:
            answer = ask()
        except NotNowError as error:
            if error.status in HOPELESS:
                _tell_back(server)
                raise
            now_s = time.monotonic()
            first_s = min(first_s, now_s)
            given_up_s = min(first_s, _away_since(server, now_s)) + patience_s
            if now_s >= given_up_s:
                raise ServerAwayError(f"{server}: no answer for {patience_s:g} s, {_reason(error)}") from error
            _tell_waiting(server, error, patience_s)
            put_off_deadlines()
            time.sleep(min(pause_s, given_up_s - now_s))
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
        else:
            _tell_back(server)
            return answer


def _away_since(server: str, now_s: float) -> float:
    with _Away.lock:
        return _Away.since_s.setdefault(server, now_s)


def _tell_waiting(server: str, error: NotNowError, patience_s: float) -> None:
    with _Away.lock:
        first = server not in _Away.told
        _Away.told.add(server)
    if first:
        tell(f"waiting up to {patience_s:g} s for {server}: {_reason(error)}")


def _tell_back(server: str) -> None:
    with _Away.lock:
        told = server in _Away.told
        _Away.told.discard(server)
        _Away.since_s.pop(server, None)
    if told:
        tell(f"{server} answers again")


def _reason(error: NotNowError) -> str:
    return f"{error}: {error.told}" if error.told else str(error)
