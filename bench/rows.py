"""Results as rows: the values of one metric on one video, kept as JSON lines, one file for each method.

The key of a row is what it was computed from; the row is computed again only when that changes. Several processes may
write into one directory.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from infra.storage.line_files import append_lines, read_lines

METHOD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+ -]{0,99}")

INTERNAL_ERROR = "internal error"
"""Beginning of the reason after an unexpected exception; its type and message follow."""
CRASHED = "crashed"
"""The reason where no worker survived the video."""

RowKey: TypeAlias = tuple[str, str, str, str, str, str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One metric on one video, or the reason why it has no value."""

    method: str
    sample: str
    """Id of the sample."""
    control: str = ""
    """How the input was made wrong on purpose; empty for the video as it is."""
    metric: str
    protocol: str
    """Fingerprint of the metric's parameters and versions; rows of different protocols are never compared."""
    video: str
    """Content hash of the video; empty where the method made none."""
    inputs: str
    """Content hash of the metric's other inputs: sound that replaces the video's own, reference image, prompt."""
    values: Mapping[str, float] = field(default_factory=dict)
    """By name; empty when there is a reason."""
    reason: str | None = None
    """Why there is no value: `no face`, `unreadable`, `silent`, ..."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Evidence: onset times, offsets, curves."""
    seconds: float = 0.0
    """Time that measuring took."""

    def __post_init__(self) -> None:
        """Require either values or a reason, and finite values: JSON has no NaN, and no mean could use one."""
        if (self.reason is None) != bool(self.values):
            raise ValueError(f"{self.metric} on {self.method}/{self.sample}: either values or a reason, not both")
        wrong = [name for name, value in self.values.items() if not math.isfinite(value)]
        if wrong:
            raise ValueError(f"{self.metric} on {self.method}/{self.sample}: {wrong[0]} is not a finite number")

    @property
    def is_fault(self) -> bool:
        """Whether the program is at fault and not the video: another version, or a larger machine, may measure it."""
        return self.reason is not None and (self.reason.startswith(INTERNAL_ERROR) or self.reason == CRASHED)

    @property
    def key(self) -> RowKey:
        """What the row was computed from."""
        return (self.method, self.sample, self.control, self.metric, self.protocol, self.video, self.inputs)

    @property
    def place(self) -> tuple[str, str, str, str, str]:
        """The row's place in a table; of the rows of one place, one is current."""
        return (self.method, self.sample, self.control, self.metric, self.protocol)

    def to_json(self) -> str:
        """One line."""
        plain = {name.name: getattr(self, name.name) for name in dataclasses.fields(self)}
        return json.dumps(plain, ensure_ascii=False, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> Row:
        """The row that `to_json` wrote.

        Raises:
            ValueError: the line is something else.
        """
        try:
            return cls(**json.loads(line))
        except (TypeError, ValueError) as error:
            raise ValueError(f"not a result row: {line[:80]!r} ({error})") from error


class RowStore:
    """The rows of a directory, `<method>.jsonl` each."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def read(self) -> list[Row]:
        """Every whole row, each key once: methods by name, the rows of a method in the order written.

        The first row with values is kept; a row with a reason is replaced by any later row of its key.

        Raises:
            ValueError: a line other than the last of a file is not a row, or a file cannot be read.
        """
        rows: dict[RowKey, Row] = {}
        for path in sorted(self.directory.glob("*.jsonl")):
            for row in _read_file(path):
                if row.key not in rows or rows[row.key].reason is not None:
                    rows.pop(row.key, None)
                    rows[row.key] = row
        return list(rows.values())

    def by_key(self) -> dict[RowKey, Row]:
        """The computed rows by key."""
        return {row.key: row for row in self.read()}

    def keys(self) -> set[RowKey]:
        """Keys of the computed rows."""
        return set(self.by_key())

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows to their methods' files; they are on the disk when this returns.

        Raises:
            ValueError: a method's name cannot be a file name.
        """
        by_method: dict[str, list[Row]] = {}
        for row in rows:
            by_method.setdefault(check_method(row.method), []).append(row)
        for method, group in by_method.items():
            append_lines(self.directory / f"{method}.jsonl", [row.to_json() for row in group])


@dataclass(frozen=True, kw_only=True, slots=True)
class MergedRows:
    """The result of merging."""

    added: int
    known: int
    """Rows that were there already, equal except for the time they took."""
    conflicts: tuple[Row, ...]
    """Rows of a known key with other values; the known row is kept."""


def merge(into: Path, sources: Sequence[Path]) -> MergedRows:
    """Add the rows of other directories (other machines' results) to those of `into`.

    Raises:
        ValueError: a source is not a directory, or holds a broken file.
    """
    store = RowStore(into)
    known = {row.key: row for row in store.read()}
    added: list[Row] = []
    same, conflicts = 0, []
    for source in sources:
        if not source.is_dir():
            raise ValueError(f"no directory of results at {source}")
        for row in RowStore(source).read():
            if row.key not in known or (known[row.key].is_fault and not row.is_fault):
                known[row.key] = row
                added.append(row)
            elif comparable(row) == comparable(known[row.key]):
                same += 1
            else:
                conflicts.append(row)
    store.append(added)
    return MergedRows(added=len(added), known=same, conflicts=tuple(conflicts))


def current(rows: Iterable[Row]) -> list[Row]:
    """The current row of each place, sorted: its last row with a video, or without any, its last row.

    Older rows of a place belong to a video or an input that has been replaced since.
    """
    places: dict[tuple[str, str, str, str, str], Row] = {}
    for row in rows:
        before = places.get(row.place)
        if before is None or row.video or not before.video:
            places[row.place] = row
    return [places[place] for place in sorted(places)]


def comparable(row: Row) -> Row:
    """The row without the time it took: what two runs over the same files have in common."""
    return dataclasses.replace(row, seconds=0.0)


def check_method(name: str) -> str:
    """`name`, if it can be a file name.

    Raises:
        ValueError: it cannot.
    """
    if METHOD_NAME.fullmatch(name) is None:
        allowed = "letters, digits, spaces and . _ + - only, a hundred at most"
        raise ValueError(f"{name!r} cannot be a method's name: {allowed}")
    return name


def _read_file(path: Path) -> Iterator[Row]:
    try:
        lines = read_lines(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from error
    for number, line in enumerate(lines, start=1):
        try:
            yield Row.from_json(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
