"""Trying again while the machine is at fault, with pauses that grow."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from infra.jobs import tally
from infra.jobs.deadlines import sign_of_life
from infra.jobs.machine_fault import FOR_ALL, MachineFaultError, machine_fault
from infra.jobs.unit_log import log

T = TypeVar("T")

FIRST_PAUSE_S: Final = 0.5
"""Doubled with every further try."""
MAX_PAUSE_S: Final = 30.0
STEP_S: Final = 1.0
"""Between two signs of life in a pause."""


def persistently(work: Callable[[], T], patience_s: float) -> T:
    """What `work` returns, done again while the machine is at fault.

    Pauses are drawn between half their length and all of it, so that workers that a store turned away at the same
    moment do not come back at the same moment.

    Args:
        work: can be done any number of times. A `MachineFaultError` of its own is final: it has been patient already.
        patience_s: how long to begin new tries, from the first failure on; 0 to try once.

    Raises:
        MachineFaultError: the fault persists.
        Exception: `work` raises it, and the machine is not at fault.
    """
    pause_s, given_up_s = FIRST_PAUSE_S, None
    while True:
        try:
            return work()
        except MachineFaultError:
            raise
        except Exception as error:
            fault = machine_fault(error)
            if fault is None:
                raise
            tally.count("machine_faults", fault)
            log("waiting", level="warning", keep=True, reason=fault, detail=" ".join(str(error).split()))
            given_up_s = given_up_s or time.monotonic() + patience_s
            left_s = given_up_s - time.monotonic()
            if left_s <= 0:
                raise MachineFaultError(_told(fault, error), is_for_all=fault in FOR_ALL) from error
            _rest(min(left_s, pause_s * random.uniform(0.5, 1.0)))
            pause_s = min(2 * pause_s, MAX_PAUSE_S)


def _told(fault: str, error: BaseException) -> str:
    """The fault, with the file system where there is none left: a person must know where to make room."""
    name = getattr(error, "filename", None)
    return f"{fault} for {name}" if fault in FOR_ALL and name else fault


def _rest(seconds: float) -> None:
    """Sleep, and give signs of life: a unit that waits for a store does not hang."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        sign_of_life()
        time.sleep(min(left_s, STEP_S))
