"""The log of a training: averages over ranks and steps, as JSON lines and for TensorBoard."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

from infra.storage.files import naming, write_atomically
from training.distributed.ranks import Ranks


class Averages:
    """Weighted means of named values, over all that was added on all ranks since they were last collected."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}

    def add(self, name: str, total: float, count: float = 1.0) -> None:
        """Add `count` values whose sum is `total`."""
        before, number = self._sums.get(name, (0.0, 0.0))
        self._sums[name] = (before + total, number + count)

    def merge(self, other: Averages) -> None:
        """Add another's values."""
        for name, (total, count) in other._sums.items():
            self.add(name, total, count)

    def means(self) -> dict[str, float]:
        """The means on this rank so far; nothing is forgotten."""
        return {name: total / count for name, (total, count) in self._sums.items() if count}

    def collect(self, ranks: Ranks) -> dict[str, float]:
        """The means over all ranks, by name, of what was added since the last call. All ranks call it."""
        merged: dict[str, tuple[float, float]] = {}
        for part in ranks.gather(self._sums):
            for name, (total, count) in part.items():
                before, number = merged.get(name, (0.0, 0.0))
                merged[name] = (before + total, number + count)
        self._sums = {}
        return {name: total / count for name, (total, count) in sorted(merged.items()) if count}


class MetricsLog:
    """`metrics.jsonl` and TensorBoard's files in one folder.

    Lines of steps after the one that training goes on from are dropped, because these steps are made again.

    Args:
        folder: of the stage.
        first_step: the step that training goes on from.

    Raises:
        OSError: a file cannot be written; the error names the file. The methods raise it too.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "metrics.jsonl"
        lines = self._path.read_text().splitlines(keepends=True) if self._path.is_file() else []
        kept = [line for line in lines if _step(line) is not None and (_step(line) or 0) <= first_step]
        if len(kept) != len(lines):
            # If the lines were written in place, nothing would be left of them on a full disk.
            write_atomically(str(self._path), "".join(kept).encode())
        self._file = self._path.open("ab")
        self._board = Board(folder / "tensorboard", first_step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values of a step."""
        # NaN would not be JSON.
        rounded = {name: round(value, 9) if math.isfinite(value) else None for name, value in values.items()}
        with naming(self._path):
            self._file.write(json.dumps({"step": step, **rounded}).encode() + b"\n")
            self._file.flush()
        self._board.write(step, values)

    def close(self) -> None:
        """Finish the files."""
        # Every write is flushed, so the buffer only holds what could not be written.
        with suppress(OSError):
            self._file.close()
        self._board.close()


class Board:
    """A file of scalars for TensorBoard.

    Torch's `SummaryWriter` writes in a thread, where the error of a full disk could not be caught.

    Args:
        folder: of the files; each process writes a new one.
        first_step: the first step of this file. TensorBoard drops what earlier files say of this and later steps.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now_ns = time.time_ns()
        name = f"events.out.tfevents.{now_ns // 10**9:010d}.{socket.gethostname()}.{os.getpid()}.{now_ns % 10**9}"
        self._path = folder / name
        self._file = self._path.open("wb")
        self._records = RecordWriter(self._file)
        self._add(Event(file_version="brain.Event:2"))
        self._add(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values of a step."""
        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._add(Event(step=step, summary=Summary(value=scalars)))

    def close(self) -> None:
        """Finish the file."""
        with suppress(OSError):
            self._file.close()

    def _add(self, event: Any) -> None:
        event.wall_time = time.time()
        with naming(self._path):
            self._records.write(event.SerializeToString())
            self._file.flush()


def _step(line: str) -> int | None:
    """Step of a line; None for one that a crash cut short."""
    try:
        values: Any = json.loads(line)
        return int(values["step"])
    except (ValueError, KeyError, TypeError):
        return None
