"""Listing what is to be curated: a directory, a glob, a file, `s3://…`, or a manifest."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import pyarrow.parquet as pq

from curation.config import ConfigError
from curation.schema import Pool, Source
from curation.storage import filesystem, is_local, join, read_bytes

MANIFESTS = (".csv", ".jsonl", ".ndjson", ".parquet")
PATH_COLUMNS = ("path", "uri", "url", "file", "video")
"""Names under which a manifest's column of paths is found when none is named."""
NOT_VIDEO = frozenset(
    {".csv", ".jsonl", ".ndjson", ".json", ".txt", ".md", ".yaml", ".yml", ".parquet", ".html", ".pdf", ".py"}
    | {".srt", ".vtt", ".ass", ".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".part", ".tmp"}
    | {".wav", ".mp3", ".flac", ".m4a", ".aac", ".ogg", ".zip", ".tar", ".gz"}
)
"""Extensions that a directory may hold beside its videos; everything else is tried and, if need be, recorded."""


def list_sources(location: str, pool: Pool = Pool.HUMAN, path_column: str | None = None) -> list[Source]:
    """Every video that `location` names, in a stable order, each once.

    Args:
        location: a directory (searched through), a glob, one file, any of these as a URI, or a CSV, JSON lines or
            Parquet manifest with a column of paths; a manifest's further columns become metadata, and its column
            `pool`, if any, overrides `pool`. Relative paths in a manifest are relative to it.
        pool: the pool that the videos are meant for.
        path_column: the manifest's column of paths.

    Raises:
        ConfigError: nothing is there, or the manifest cannot be read.
    """
    if location.lower().endswith(MANIFESTS):
        sources = list(_from_manifest(location, pool, path_column))
    else:
        sources = [Source(uri=uri, pool=pool) for uri in _expand(location)]
    unique = {source.uri: source for source in sources}
    if not unique:
        raise ConfigError(f"no videos in {location}")
    return [unique[uri] for uri in sorted(unique)]


def _expand(location: str) -> Iterable[str]:
    try:
        fs, plain = filesystem(location)
        if any(wildcard in plain for wildcard in "*?["):
            paths = [path for path in fs.glob(plain) if not fs.isdir(path) and not _hidden(path)]
        elif fs.isdir(plain):
            paths = [path for path in fs.find(plain) if _may_be_video(path)]
        elif fs.exists(plain):
            paths = [plain]
        else:
            raise ConfigError(f"no such file or directory: {location}")
    except (OSError, ValueError, ImportError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"cannot list {location}: {' '.join(str(error).split())}") from error
    return [_printable(path if is_local(location) else fs.unstrip_protocol(path)) for path in paths]


def _printable(path: str) -> str:
    """Refuse names that are not Unicode: they could be opened here, but not written into any record.

    Raises:
        ConfigError: it is one.
    """
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"rename {os.fsencode(path)!r}: file names must be valid UTF-8") from error
    return path


def _may_be_video(path: str) -> bool:
    return not _hidden(path) and PurePosixPath(path).suffix.lower() not in NOT_VIDEO


def _hidden(path: str) -> bool:
    return PurePosixPath(path).name.startswith(".")


def _from_manifest(location: str, pool: Pool, path_column: str | None) -> Iterable[Source]:
    rows = _read_manifest(location)
    if not rows:
        return
    column = path_column or next((name for name in PATH_COLUMNS if name in rows[0]), None)
    if column is None or column not in rows[0]:
        raise ConfigError(
            f"{location}: no column {path_column or ' or '.join(PATH_COLUMNS)}; it has {', '.join(rows[0])}"
        )
    base = location.rpartition("/")[0]
    for number, row in enumerate(rows, start=1):
        path = row.pop(column, None)
        if not path:
            raise ConfigError(f"{location}: row {number} has no {column}")
        try:
            own_pool = Pool(row.pop("pool", None) or pool)
        except ValueError as error:
            raise ConfigError(f"{location}: row {number}: {error}; there are human and general") from error
        absolute = "://" in path or path.startswith("/") or not base
        yield Source(uri=path if absolute else join(base, path), pool=own_pool, metadata=row)


def _read_manifest(location: str) -> list[dict[str, Any]]:
    try:
        data = read_bytes(location)
        if location.lower().endswith(".parquet"):
            rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
            return rows
        text = data.decode()
        if location.lower().endswith(".csv"):
            return [dict(row) for row in csv.DictReader(io.StringIO(text))]
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:  # JSON, Unicode and Arrow errors are ValueErrors
        raise ConfigError(f"cannot read manifest {location}: {' '.join(str(error).split())}") from error
