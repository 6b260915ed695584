"""When a run on Ray is broken off because nothing happens any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from infra.jobs.cluster import logs_directory
from infra.jobs.placement import ExecutionConfig, PoolConfig
from infra.jobs.progress import Progress, Silence

REPORT_INTERVAL_S: Final = 1.0
LEDGER_TIMEOUT_S: Final = 300.0
"""A ledger loads nothing; only its process has to start."""
MAX_NAMED_UNITS: Final = 3

Report = Callable[[Progress], None]


def complaint_of(silence: Silence, limits: ExecutionConfig, pools: Sequence[PoolConfig]) -> str | None:
    """One line on a run in which nothing has happened for too long; None while it may go on.

    A worker has a deadline of its own only while it works on a unit. One that hangs while it is imported, unpickled or
    loading weights is noticed only from here.
    """
    # A worker ends itself when a unit takes too long; another has to start then.
    allowed_s = limits.start_timeout_s + (limits.unit_timeout_s if silence.in_hand else 0.0)
    if silence.seconds <= allowed_s:
        return None
    waiting = [pool for pool in pools if pool.name not in silence.ready]
    if waiting and not silence.in_hand:
        return not_started(waiting[0], allowed_s)
    names = sorted(silence.in_hand)
    units = ", ".join(names[:MAX_NAMED_UNITS]) + (", …" if len(names) > MAX_NAMED_UNITS else "")
    what = f"with {units} in work" if units else f"while pool {pools[-1].name!r} was to take up the next unit"
    return f"nothing has happened for {allowed_s:g} s {what}{_look()}"


def not_started(pool: PoolConfig, seconds: float) -> str:
    """One line on a pool whose first worker takes too long."""
    return (
        f"no worker of pool {pool.name!r} has started within {seconds:g} s; it was loading {', '.join(pool.stages)} "
        f"(execution.start_timeout_s){_look()}"
    )


def ledger_is_silent() -> str:
    """One line on a run whose ledger does not answer."""
    return f"the ledger of the run has not answered for {LEDGER_TIMEOUT_S:g} s{_look()}"


def _look() -> str:
    return f"; what the workers said is in {logs_directory()}"
