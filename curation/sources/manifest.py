"""Reading a manifest into rows: CSV, JSON lines or Parquet. A mistake in it is one line that says where."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.sources.plain import plain, writable
from infra.config import ConfigError
from infra.storage.files import read_bytes

MANIFESTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
PATH_COLUMNS = ("path", "uri", "url", "file", "video")
"""Names under which a manifest's column of paths is found when none is named."""
POOL_COLUMN = "pool"
DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|"}
"""Delimiters that a text file may have: the first with which its header has a column of paths is taken."""
BATCH_ROWS = 10_000
"""Rows of a Parquet file that are in memory at a time."""
OTHER_ENCODINGS = ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))
KINDS = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", str: "text"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is in its manifest."""

    row: int
    """Counted from 1, without the header."""
    line: int | None = None
    """Number of the row's line in a text file."""

    def complaint(self, text: str) -> str:
        """One line: the row, what is wrong and right, and the line to look at."""
        return f"row {self.row}{text}" + (f" (line {self.line})" if self.line is not None else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One row."""

    path: str
    """As the manifest has it."""
    pool: str | None
    metadata: dict[str, Any]
    """The further columns, as plain JSON."""
    place: Place


@dataclass(frozen=True, slots=True)
class _Row:
    place: Place
    values: dict[str, Any]


def read_manifest(location: str, path_column: str | None = None) -> Iterator[Entry]:
    """The rows of a manifest, one after the other: a million of them at once would take gigabytes.

    Args:
        location: its path or URI.
        path_column: the column of paths; by default the first of `PATH_COLUMNS`, in upper or lower case.

    Raises:
        ConfigError: it cannot be read, or a row is wrong; one line names the row.
    """
    try:
        rows = _rows(location, path_column)
        first = next(rows, None)
        if first is None:
            return
        column = _path_column(location, list(first.values), path_column)
        for row in chain([first], rows):
            try:
                entry = _entry(row, column)
            except ValueError as error:
                raise ConfigError(f"{location}: {error}") from error
            yield entry
    except ConfigError:
        raise
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
        raise ConfigError(f"cannot read manifest {location}: {' '.join(str(error).split())}") from error


def _path_column(location: str, names: Sequence[str], path_column: str | None) -> str:
    column = _column(names, (path_column,) if path_column else PATH_COLUMNS)
    if column is None:
        raise ConfigError(
            f"{location}: no column {path_column or ' or '.join(PATH_COLUMNS)}; it has {', '.join(names)}"
        )
    return column


def _rows(location: str, path_column: str | None) -> Iterator[_Row]:
    data = read_bytes(location)
    if location.lower().endswith(".parquet"):
        yield from _parquet_rows(data)
    elif location.lower().endswith(tuple(DELIMITERS)):
        yield from _csv_rows(_text(data), DELIMITERS[location[-4:].lower()], path_column)
    else:
        yield from _json_rows(_text(data))


def _entry(row: _Row, column: str) -> Entry:
    values: dict[str, Any] = {}
    for name, value in row.values.items():
        try:
            # A path that is not Unicode makes its own source fail; everything else must be writable.
            values[writable(str(name))] = value if name == column and isinstance(value, str) else plain(value)
        except ValueError as error:
            raise ValueError(row.place.complaint(f": column {name!r} {error}")) from error
    path = values.pop(column, None)
    if path is None or (isinstance(path, str) and not path.strip()):
        others = f"; it has {_listed(values)}" if _listed(values) else ""
        raise ValueError(row.place.complaint(f" has no {column}{others}"))
    trouble = _trouble(path)
    if trouble:
        raise ValueError(row.place.complaint(f": {column} {trouble}"))
    named = _column(list(values), (POOL_COLUMN,))
    pool = values.pop(named) if named is not None else None
    return Entry(
        path=path,
        pool=str(pool).strip().lower() if pool not in (None, "") else None,
        metadata=values,
        place=row.place,
    )


def _trouble(path: Any) -> str:
    """Why a value cannot be a path; empty when it can."""
    if not isinstance(path, str):
        return f"is {KINDS.get(type(path), 'no text')}, not text: {path!r}"
    return "holds a NUL character, which no name can" if "\0" in path else ""


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(str(name) for name, value in values.items() if value not in (None, ""))


def _column(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The first of the wanted names that exists: exactly as written, or else in another case."""
    exact = next((name for name in wanted if name in names), None)
    if exact is not None:
        return exact
    folded = {str(name).strip().lower(): name for name in reversed(names)}
    return next((folded[name.lower()] for name in wanted if name.lower() in folded), None)


def _text(data: bytes) -> str:
    """The text of a file in UTF-8, with or without a byte order mark."""
    for mark, encoding in OTHER_ENCODINGS:
        if data.startswith(mark):
            raise ValueError(f"it is {encoding}: save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"line {line} is not UTF-8 (byte 0x{data[error.start]:02x}): save the file as UTF-8; from Latin-1, "
            "`iconv -f LATIN1 -t UTF-8` does it"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"line {line} holds a NUL character: save the file as UTF-8 text")
    return text


def _csv_rows(text: str, delimiters: str, path_column: str | None) -> Iterator[_Row]:
    delimiter = _delimiter(text, delimiters, path_column)
    # Strict, because a quote that is left open would otherwise swallow all rows after it unnoticed.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    names: list[str] | None = None
    number, end = 0, 0
    try:
        for fields in reader:
            start, end = end + 1, reader.line_num
            if not any(field.strip() for field in fields):
                continue
            if names is None:
                names = _header(fields)
                continue
            number += 1
            yield _Row(Place(number, start), _record(names, fields, Place(number, start)))
    except csv.Error as error:
        reason = str(error)
        if "field limit" in reason:
            reason = (
                "a field is longer than 128 KiB: is a quote left open? Long texts go into a .jsonl or .parquet file"
            )
        elif "unexpected end" in reason:
            reason = "a quote is left open from here to the end"
        raise ValueError(Place(number + 1, end + 1).complaint(f": {reason}")) from error


def _delimiter(text: str, delimiters: str, path_column: str | None) -> str:
    """The first delimiter with which the header has a column of paths, else the first of all."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    for delimiter in delimiters:
        names = [name.strip().strip('"').strip() for name in header.split(delimiter)]
        if _column(names, (path_column,) if path_column else PATH_COLUMNS) is not None:
            return delimiter
    return delimiters[0]


def _header(fields: Sequence[str]) -> list[str]:
    names = [field.strip() for field in fields]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the header has {twice!r} twice")
    return names


def _record(names: Sequence[str], fields: list[str], place: Place) -> dict[str, Any]:
    while len(fields) > len(names) and not fields[-1].strip():
        fields.pop()
    if len(fields) != len(names):
        count = f"{len(fields)} field{'s' if len(fields) != 1 else ''}"
        advice = ": a field that holds the delimiter must stand in quotes" if len(fields) > len(names) else ""
        raise ValueError(place.complaint(f" has {count} and the header {len(names)}{advice}"))
    for name, field in zip(names, fields, strict=True):
        if not name and field.strip():
            raise ValueError(place.complaint(f": {field!r} stands in a column without a name"))
    return {name: field for name, field in zip(names, fields, strict=True) if name}


def _json_rows(text: str) -> Iterator[_Row]:
    # Not splitlines: it also splits at characters that a text in JSON may hold.
    number = 0
    for line_number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        number += 1
        place = Place(number, line_number)
        yield _Row(place, _object(line, place))


def _object(line: str, place: Place) -> dict[str, Any]:
    try:
        values = json.loads(line, object_pairs_hook=_members)
    except RecursionError:
        raise ValueError(place.complaint(" is nested too deeply")) from None
    except json.JSONDecodeError as error:
        raise ValueError(place.complaint(f" is not JSON, {error}: every line must hold one whole object")) from error
    except ValueError as error:
        raise ValueError(place.complaint(f": {error}")) from error
    if isinstance(values, dict):
        return values
    hint = "; `jq -c '.[]'` writes a JSON array's objects so" if isinstance(values, list) else ""
    kind = KINDS.get(type(values), "null")
    raise ValueError(place.complaint(f' is {kind}: every line must hold one object, as {{"path": "a.mp4"}}{hint}'))


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has {next(name for name in names if names.count(name) > 1)!r} twice")
    return members


def _parquet_rows(data: bytes) -> Iterator[_Row]:
    # Arrow's threads can abort the interpreter if they still run when it ends.
    file = pq.ParquetFile(io.BytesIO(data), pre_buffer=False)
    names = file.schema_arrow.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"it has the column {twice!r} twice")
    first = 1
    for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
        columns = [_values(name, batch.column(index), first) for index, name in enumerate(names)]
        for number, values in enumerate(zip(*columns, strict=True), start=first):
            yield _Row(Place(number), dict(zip(names, values, strict=True)))
        first += batch.num_rows


def _values(name: str, column: pa.Array, first: int) -> list[Any]:
    """A column's values in Python's types, which hold fewer dates than Arrow's, and no text that is not UTF-8."""
    column = _without_nanoseconds(column)
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        for number, value in enumerate(column, start=first):
            try:
                value.as_py()
            except (ValueError, OverflowError) as error:
                raise ValueError(Place(number).complaint(f": column {name!r} cannot be read: {error}")) from error
        raise
    return values


def _without_nanoseconds(column: pa.Array) -> pa.Array:
    """A column whose times Python can hold: they have microseconds there. Where that is not exact they become text."""
    exact = _coarser(column.type, lambda kind: kind)
    if exact == column.type:
        return column
    try:
        return column.cast(exact)
    except pa.ArrowInvalid:
        return column.cast(_coarser(column.type, lambda _: pa.string()), safe=False)


def _coarser(kind: pa.DataType, time: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """A type with microseconds for nanoseconds, whatever they are nested in; `time` is asked about points of time."""
    if isinstance(kind, pa.TimestampType | pa.Time64Type | pa.DurationType) and kind.unit == "ns":
        if isinstance(kind, pa.TimestampType):
            return time(pa.timestamp("us", kind.tz))
        return time(pa.time64("us")) if isinstance(kind, pa.Time64Type) else pa.duration("us")
    if isinstance(kind, pa.StructType):
        return pa.struct([field.with_type(_coarser(field.type, time)) for field in kind])
    if isinstance(kind, pa.ListType | pa.LargeListType):
        of = pa.list_ if isinstance(kind, pa.ListType) else pa.large_list
        return of(_coarser(kind.value_type, time))
    if isinstance(kind, pa.MapType):
        return pa.map_(_coarser(kind.key_type, time), _coarser(kind.item_type, time))
    return kind
