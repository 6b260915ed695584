"""The log of a process that works on units: JSON objects, one a line, with run, job, pool, unit, attempt, stage, node.

They go to the process's standard error, which Ray keeps on the node and its dashboard shows. Those that people look for
also go back with the unit, into the log of the run (`infra.jobs.run_log`).
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from infra.jobs import tally

Line = dict[str, Any]
StageListener = Callable[[str, str], object]
"""Hears that a unit enters a stage."""
MAX_KEPT: Final = 50
"""Lines that go back with a unit; what is said beyond stays on the node."""


@dataclass(eq=False, kw_only=True, slots=True)
class UnitLog:
    """What is logged of one unit in one worker."""

    unit: str
    attempt: int
    """From 1, in its pool."""
    stage: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall seconds by stage."""
    kept: list[Line] = field(default_factory=list)
    """Lines that go back with the unit."""


class _OfProcess:
    """Who this process is, and who hears where its units are."""

    is_worker = False
    fields: Mapping[str, Any] = {}
    listener: StageListener | None = None


_UNIT: Final[ContextVar[UnitLog | None]] = ContextVar("unit", default=None)


def set_up(listener: StageListener | None, **fields: Any) -> None:
    """Write a line of this process for each event from now on, what Python's `logging` warns of included.

    Args:
        listener: hears where units are.
        fields: what all lines have: run, job, pool, node, pid.
    """
    _OfProcess.is_worker, _OfProcess.fields, _OfProcess.listener = True, fields, listener
    root = logging.getLogger()
    if not any(isinstance(handler, _Handler) for handler in root.handlers):
        root.addHandler(_Handler(logging.WARNING))


@contextmanager
def of_unit(unit: str, attempt: int) -> Iterator[UnitLog]:
    """Inside, what this thread logs is about a unit."""
    log_of_unit = UnitLog(unit=unit, attempt=attempt)
    token = _UNIT.set(log_of_unit)
    try:
        yield log_of_unit
    finally:
        _UNIT.reset(token)


@contextmanager
def in_stage(stage: str) -> Iterator[None]:
    """Inside, the unit of this thread is in a stage; its wall time is counted."""
    unit, listener = _UNIT.get(), _OfProcess.listener
    if unit is not None:
        unit.stage = stage
        if listener is not None:
            listener(unit.unit, stage)
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - start
        tally.count("stage_seconds", stage, amount=seconds)
        if unit is not None:
            unit.seconds[stage] = unit.seconds.get(stage, 0.0) + seconds
            if _OfProcess.is_worker:
                log("stage", seconds=round(seconds, 4))
            unit.stage = None


def log(event: str, *, level: str = "info", keep: bool = False, **fields: Any) -> None:
    """Write a line about the unit that this thread works on, or about the process.

    Args:
        event: what happened, in a word.
        level: as of `logging`, in small letters.
        keep: whether it goes back with the unit.
        fields: what else is known.
    """
    unit = _UNIT.get()
    of_unit_ = {} if unit is None else {"unit": unit.unit, "attempt": unit.attempt, "stage": unit.stage}
    whole = line(event, level=level, **_OfProcess.fields, **of_unit_, **fields)
    if _OfProcess.is_worker:
        write(whole, sys.stderr)
    if keep and unit is not None and len(unit.kept) < MAX_KEPT:
        unit.kept.append(whole)


def line(event: str, *, level: str = "info", **fields: Any) -> Line:
    """A line of a log; fields that are None are left out."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    known = {name: value for name, value in fields.items() if value is not None}
    return {"time": now, "level": level, "event": event, **known}


def as_text(whole: Line) -> str:
    """A line as it is written, without its newline."""
    return json.dumps(whole, ensure_ascii=False, default=str)


def write(whole: Line, stream: TextIO) -> None:
    """Write a line for who looks at this process. That a disk is full, or a name is no text, ends no unit."""
    with suppress(OSError, ValueError):  # the latter of a stream that is closed
        print(as_text(whole).encode(errors="backslashreplace").decode(), file=stream, flush=True)


class _Handler(logging.Handler):
    """Passes on what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as a line."""
        trace = None if record.exc_info is None else logging.Formatter().formatException(record.exc_info)
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # a library's own mistake must not break a unit
            message = str(record.msg)
        log("log", level=record.levelname.lower(), keep=True, logger=record.name, message=message, trace=trace)


def teller(pass_on: Callable[[str], None]) -> Callable[[str], None]:
    """A listener of notes that also logs them."""

    def tell(note: str) -> None:
        log("note", keep=True, message=note)
        pass_on(note)

    return tell
