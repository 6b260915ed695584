"""The log of a run, kept beside it: a JSON object a line, by which one finds what became of a unit, and where.

`RUN/logs/<job>-<begun>-<number>.jsonl` has a line for every pool that a unit has passed, for its commit, and for what
went wrong on the way. Only the driver writes it, so it outlives workers and nodes. A file is closed when it is
`MAX_BYTES` long. An object store has no files that grow: there, the whole of the last one is sent now and then.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from infra.jobs.unit_log import Line, as_text, line
from infra.storage.files import filesystem, is_local, join, list_files, naming, read_bytes

FOLDER: Final = "logs"
MAX_BYTES: Final = 8 << 20
MAX_WAITING: Final = 2 * MAX_BYTES
"""Of lines that cannot be written; those that come after them are lost, and counted."""
CLIP_NUMBER: Final = re.compile(r"(-[^-]*)?-[^-]*$")
"""The end of a clip's key that its unit's lacks, and as much again for a crop's."""
TOLD: Final = frozenset({"time", "level", "event", "run", "job", "pool", "stage", "attempt", "node", "node_id", "pid"})
"""Fields that are told by their place in a line, or known to who asks."""


class RunLog:
    """The log of one run of a job, as its only writer sees it.

    Raises:
        OSError: the disk or the store fails; all methods raise it.
    """

    def __init__(self, run: str, job: str) -> None:
        begun = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        self._stem = join(run, FOLDER, f"{job}-{begun}")
        self._number = 0
        self._waiting = bytearray()
        """Of the current file, what is not written yet; on an object store all of it."""
        self._num_sent = self._num_lost = 0

    def add(self, lines: Iterable[Line]) -> None:
        """Take lines; they are written when `write` is called next."""
        for each in lines:
            if len(self._waiting) > MAX_WAITING:
                self._num_lost += 1
            else:
                # The name of a file may hold bytes that are no text.
                self._waiting += as_text(each).encode(errors="replace") + b"\n"

    def write(self) -> None:
        """Write what has been taken."""
        path = f"{self._stem}-{self._number:05d}.jsonl"
        if is_local(path):
            self._append(path)
        elif len(self._waiting) > self._num_sent:
            fs, plain = filesystem(path)
            fs.pipe_file(plain, bytes(self._waiting))
            self._num_sent = len(self._waiting)
            self._written(self._num_sent)

    def _append(self, path: str) -> None:
        if not self._waiting:
            return
        target = Path(filesystem(path)[1])
        target.parent.mkdir(parents=True, exist_ok=True)
        before = target.stat().st_size if target.exists() else 0
        try:
            with naming(path), target.open("ab") as file:
                file.write(self._waiting)
                size = file.tell()
        except OSError:
            with suppress(OSError):
                os.truncate(target, before)  # a full disk has taken a part
            raise
        self._waiting.clear()
        self._written(size)

    def _written(self, size: int) -> None:
        """See to what follows when a file of `size` bytes has been written."""
        if size > MAX_BYTES:
            self._number += 1
            self._num_sent = 0
            self._waiting.clear()
        if self._num_lost:
            number, self._num_lost = self._num_lost, 0
            self.add([line("lines_lost", level="warning", reason="the log could not be written", number=number)])


def lines_about(run: str, unit: str) -> Iterator[Line]:
    """What the logs of all runs on a directory say of a unit, the oldest first.

    Args:
        run: the directory.
        unit: its key.

    Raises:
        OSError: the store fails.
    """
    key = json.dumps(unit, ensure_ascii=False)
    for found in _lines(run, [f'"unit": {key}', key]):
        if found.get("unit") == unit:
            yield found


def lines_about_clip(run: str, clip: str) -> Iterator[Line]:
    """As `lines_about`, by the key of a clip: it begins with the key of the unit that it is from."""
    for found in _lines(run, [CLIP_NUMBER.sub("", clip)]):
        if (unit := found.get("unit")) is not None and clip.startswith(f"{unit}-"):
            yield found


def problems(run: str) -> Iterator[Line]:
    """What the logs say of the runs themselves, and all that went wrong in them, the oldest first.

    Raises:
        OSError: the store fails.
    """
    for found in _lines(run, ['"level": "', '"event": "']):
        if found.get("level") != "info" or "unit" not in found:
            yield found


def as_told(line: Line) -> str:
    """A line of a log as people read it."""
    place = [str(line[name]) for name in ("pool", "stage") if name in line]
    parts = [str(line.get("time", "")), str(line.get("event", "")), "/".join(place)]
    if "attempt" in line:
        parts.append(f"attempt {line['attempt']}")
    if "node" in line:
        parts.append(f"on {line['node']} ({line.get('node_id', 'here')})")
    parts += [f"{name}={_value(value)}" for name, value in line.items() if name not in TOLD]
    return "  ".join(part for part in parts if part)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}:{each}" for name, each in value.items())
    return str(value)


def _lines(run: str, words: Sequence[str]) -> Iterator[Line]:
    """The lines that have all of these words, the oldest first."""
    wanted = [word.encode() for word in words]
    folder = join(run, FOLDER)
    for name in sorted(list_files(folder, ".jsonl"), key=lambda name: name.rsplit("-", 2)[1:]):
        try:
            whole = read_bytes(join(folder, name))
        except FileNotFoundError:
            continue
        if not all(word in whole for word in wanted):
            continue
        for text in whole.split(b"\n"):
            if all(word in text for word in wanted) and (found := _line(text)) is not None:
                yield found


def _line(text: bytes) -> Line | None:
    """A line of the log; None for one that a crash cut short."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
