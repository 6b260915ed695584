"""A folder to share: the page with the rows of a query, their pictures and their clips, which needs no server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from curation.browse.collection import Collection
from curation.browse.files import NotThereError, ShardFiles
from curation.browse.listing import about, differences, record_page, shown
from curation.browse.page import html
from curation.browse.query import Query
from curation.browse.selection import Selection
from curation.media.errors import MediaError
from infra.config import ConfigError
from infra.storage.files import write_atomically
from infra.storage.out_directory import prepare

CLIPS: Final = "clips"
THUMBNAILS: Final = "thumbnails"
UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What was written."""

    num_rows: int
    num_clips: int
    num_bytes: int
    notes: tuple[str, ...]
    """What a person should know, a line each."""


def write_export(
    selection: Selection, query: Query, directory: Path, *, most: int, written: Callable[[int, int], None]
) -> Exported:
    """Write `index.html`, `clips/<key>.mp4` with their sound, and `thumbnails/<key>.jpg`.

    Args:
        selection: the rows; the first ones are taken.
        query: of the selection.
        directory: made if need be; it must be empty.
        most: rows at most.
        written: told how many of how many rows are written.

    Raises:
        ConfigError: no row is selected, or the folder holds something or cannot be written.
        OSError: a file cannot be read or written.
    """
    if not len(selection.places):
        raise ConfigError("no row is selected, so there is nothing to export")
    _prepare(directory)
    collection = selection.collection
    rows = selection.rows(0, most, collection.table.column_names)
    writing = _Writing(collection, directory)
    for done, row in enumerate(rows, start=1):
        writing.add(row)
        written(done, len(rows))
    data = about(collection) | {
        "rows": writing.rows,
        "records": writing.records,
        "selected": len(selection.places),
        "sort": f"-{query.sort}" if query.descending else query.sort,
    }
    page = html(data, files="'self' file:").encode(errors="replace")
    write_atomically(str(directory / "index.html"), page)
    if len(rows) < len(selection.places):
        writing.notes.append(
            f"the first {len(rows):,} of {len(selection.places):,} rows are exported: --most takes more"
        )
    return Exported(
        num_rows=len(rows),
        num_clips=writing.num_clips,
        num_bytes=writing.num_bytes + len(page),
        notes=tuple(writing.notes),
    )


class _Writing:
    """An export under way."""

    def __init__(self, collection: Collection, directory: Path) -> None:
        self.collection = collection
        self.directory = directory
        self.files = [ShardFiles(run) for run in collection.runs]
        self.rows: list[dict[str, Any]] = []
        self.records: dict[str, Any] = {}
        self.notes: list[str] = []
        self.num_clips = self.num_bytes = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row's picture and clip, of each run that has them, and keep its record."""
        key = row["key"]
        # A ledger that was made elsewhere may have keys that are no names of files.
        name = f"{len(self.rows):05d}-{UNSAFE.sub('_', key)[:100]}"
        pictures, clips, records = {}, {}, {}
        for run, shard in self.collection.shards_of(key).items():
            files, suffix = self.files[run], f"-{run + 1}" if run else ""
            pictures[run] = self._file(f"{THUMBNAILS}/{name}{suffix}.jpg", partial(files.thumbnail, shard, key))
            clips[run] = self._file(f"{CLIPS}/{name}{suffix}.mp4", partial(files.playable, shard, key))
            with self._noting(key):
                records[run] = files.record(shard, key)
        self.num_clips += sum(clip is not None for clip in clips.values())
        self.rows.append(shown(row) | {"pictures": pictures, "clips": clips})
        self.records[key] = {
            "records": {run: record_page(record) for run, record in records.items()},
            "differences": differences(*(record.row for record in records.values())) if len(records) > 1 else [],
        }

    def _file(self, name: str, read: Callable[[], bytes]) -> str | None:
        """Write a file of a row; None where the row has none, or where it is damaged, which is noted."""
        with suppress(NotThereError), self._noting(name):
            content = read()
            write_atomically(str(self.directory / name), content)
            self.num_bytes += len(content)
            return name
        return None

    @contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        try:
            yield
        except (MediaError, ConfigError) as error:
            self.notes.append(f"left out: {name} ({error})")


def _prepare(directory: Path) -> None:
    try:
        prepare(directory)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty: export into a new folder")
