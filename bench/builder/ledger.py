"""The ledger of a build: what was done, one line each, in the order in which it was done.

    planned     the plan's fingerprint: a build goes on only with the plan it began with
    written     an attempt's texts        spoken, pictured   its sound and image, with their content hashes
    judged      the second model's verdict; it approves, or the attempt has failed
    failed      an attempt came to nothing, at which step and why: the slot gets a further attempt
    silent      a server gave no answer: the same step is to be asked again
    added       a real case, by hand      signed             a person's decision on one sample

A step is finished when its line is here; the files that the line names were written before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from infra.storage.line_files import append_lines, read_lines


class Kind(StrEnum):
    """What was done; see the module."""

    PLANNED = "planned"
    WRITTEN = "written"
    SPOKEN = "spoken"
    PICTURED = "pictured"
    JUDGED = "judged"
    FAILED = "failed"
    SILENT = "silent"
    ADDED = "added"
    SIGNED = "signed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One thing done."""

    kind: Kind
    sample: str = ""
    """Id of the sample that it is about."""
    attempt: int = 0
    """From 1; 0 for what is not part of an attempt."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Its result."""
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def to_json(self) -> str:
        """One line."""
        plain = {"kind": self.kind.value, "sample": self.sample, "attempt": self.attempt, "time": self.time}
        return json.dumps({**plain, "data": self.data}, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Entry:
        """The entry that `to_json` wrote.

        Raises:
            ValueError: the line is something else.
        """
        try:
            plain = json.loads(line)
            return cls(**{**plain, "kind": Kind(plain["kind"])})
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"not a line of a ledger: {line[:80]!r} ({error})") from error


class BuildLedger:
    """The file of a build's ledger. Threads and processes may append at the same time; entries survive any crash."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries; they are on the disk when this returns."""
        append_lines(self.path, [entry.to_json() for entry in entries])

    def read(self) -> list[Entry]:
        """Every whole entry, in the order written; none where there is no file.

        Raises:
            ValueError: a complete line is not an entry.
        """
        if not self.path.is_file():
            return []
        found = []
        for number, line in enumerate(read_lines(self.path), start=1):
            try:
                found.append(Entry.from_json(line))
            except ValueError as error:
                raise ValueError(f"{self.path}, line {number}: {error}") from error
        return found
