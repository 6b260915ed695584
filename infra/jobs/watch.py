"""Watching a run on Ray from the driver: its totals are reported, and it is ended when nothing happens any more."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import ray

from infra.jobs.cluster import logs_directory
from infra.jobs.ledger import Progress, Silence
from infra.jobs.placement import ExecutionConfig, PoolConfig

REPORT_INTERVAL_S = 1.0
LEDGER_TIMEOUT_S = 300.0
"""A ledger loads nothing; only its process has to start."""
MAX_NAMED_UNITS = 3

Report = Callable[[Progress], None]


@contextmanager
def watched(
    ledger: ray.actor.ActorHandle, report: Report, limits: ExecutionConfig, pools: Sequence[PoolConfig]
) -> Iterator[None]:
    """Report the ledger's totals every second from a thread, and once more when the block has ended well.

    A worker has a deadline of its own only while it works on a unit. One that hangs while it is imported, unpickled or
    loading weights is noticed only from here. This must be used in the main thread.

    Raises:
        TimeoutError: in the block, when nothing has happened for longer than the limits allow.
    """
    done, main, complaints = threading.Event(), threading.get_ident(), list[str]()

    def break_off(*_: object) -> None:
        raise TimeoutError(complaints[0])

    def watch() -> None:
        while not done.wait(REPORT_INTERVAL_S):
            try:
                progress, silence = ray.get(
                    [ledger.snapshot.remote(), ledger.silence.remote()], timeout=LEDGER_TIMEOUT_S
                )
                report(progress)
                complaint = complaint_of(silence, limits, pools)
            except ray.exceptions.GetTimeoutError:
                complaint = f"the ledger of the run has not answered for {LEDGER_TIMEOUT_S:g} s{_look()}"
            except ray.exceptions.RayError:
                return  # the run itself meets the same error and reports it
            if complaint:
                complaints.append(complaint)
                signal.pthread_kill(main, signal.SIGUSR1)
                return

    before = signal.signal(signal.SIGUSR1, break_off)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=5.0)
        signal.signal(signal.SIGUSR1, before)
    report(ray.get(ledger.snapshot.remote()))


def complaint_of(silence: Silence, limits: ExecutionConfig, pools: Sequence[PoolConfig]) -> str | None:
    """One line on a run in which nothing has happened for too long; None while it may go on."""
    # A worker ends itself when a unit takes too long; another has to start then.
    allowed_s = limits.start_timeout_s + (limits.unit_timeout_s if silence.in_hand else 0.0)
    if silence.seconds <= allowed_s:
        return None
    waiting = [pool for pool in pools if pool.name not in silence.ready]
    if waiting and not silence.in_hand:
        return not_started(waiting[0], allowed_s)
    units = ", ".join(silence.in_hand[:MAX_NAMED_UNITS]) + (", …" if len(silence.in_hand) > MAX_NAMED_UNITS else "")
    what = f"with {units} in work" if units else f"while pool {pools[-1].name!r} was to take up the next unit"
    return f"nothing has happened for {allowed_s:g} s {what}{_look()}"


def not_started(pool: PoolConfig, seconds: float) -> str:
    """One line on a pool whose first worker takes too long."""
    return (
        f"no worker of pool {pool.name!r} has started within {seconds:g} s; it was loading {', '.join(pool.stages)} "
        f"(execution.start_timeout_s){_look()}"
    )


def _look() -> str:
    return f"; what the workers said is in {logs_directory()}"
