"""What a page is given: rows with their facts in words, the counts beside them, and the record of one clip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from curation.browse.collection import Collection
from curation.browse.comparison import CHANGES, OTHERS
from curation.browse.query import Query, is_numeric
from curation.browse.selection import Selection
from curation.report.gallery import GALLERY_COLUMNS, Card
from curation.report.record import PRINTS, Record, flat, in_words

PER_PAGE: Final = 60
SHOWN: Final = (*GALLERY_COLUMNS, "run", "state", "rule", "seconds")
"""Columns of every row that a page is given; those that are sorted by, filtered by or asked for come to them."""
COMPARED: Final = ("change", "change_rule", *(f"other_{name}" for name in OTHERS), "span_differs")
MEASURED: Final = ("camera_", "subject_", "face_", "speech_", "audio_", "sync_")
"""Prefixes of the scores that stand beside a caption, which speaks of the same things."""
UNCOMPARED: Final = PRINTS | {"stage_seconds", "shard", "config_hash"}
"""Columns that may differ between two runs without a clip's being another."""


def about(collection: Collection) -> dict[str, Any]:
    """What stays the same for all queries: the runs, the columns and their kinds."""
    schema = collection.table.schema
    return {
        "runs": [run.name for run in collection.runs],
        "total": collection.table.num_rows,
        "columns": {field.name: kind_of(field.type) for field in schema},
        "changes": dict(CHANGES) if len(collection.runs) > 1 else {},
        "perPage": PER_PAGE,
    }


def kind_of(kind: pa.DataType) -> str:
    """`number`, `truth` or `text`."""
    if is_numeric(kind):
        return "number"
    return "truth" if pa.types.is_boolean(kind) else "text"


def page_of(selection: Selection, query: Query, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """One page of a selection, with the counts of all of it.

    Args:
        selection: of the query.
        query: its page and columns.
        more: further columns that are asked for; those that there are not are passed over.
    """
    names = set(selection.collection.table.column_names)
    asked = (query.sort, *query.ranges, *query.values, *more, *SHOWN, *COMPARED)
    columns = [name for name in dict.fromkeys(asked) if name in names]
    rows = selection.rows((query.page - 1) * PER_PAGE, PER_PAGE, columns)
    return {
        "count": len(selection.places),
        "clips": selection.num_clips,
        "seconds": selection.seconds,
        "pages": max(1, math.ceil(len(selection.places) / PER_PAGE)),
        "facets": selection.facets,
        "rows": [shown(row) for row in rows],
    }


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its facts in words; numbers that JSON does not know become null."""
    facts = Card(group="", row=dict(row), image=None).facts
    return {name: finite(value) for name, value in row.items()} | {"facts": facts}


def finite(value: Any) -> Any:
    """A value that JSON knows."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def record_page(record: Record) -> dict[str, Any]:
    """The record of one clip as a page shows it: all of it in words, and apart from that what stands side by side."""
    row = record.row
    caption = flat((record.sample or {}).get("caption") or {})
    return {
        "caption": {name: in_words(value) for name, value in caption.items()},
        "measured": {
            name: in_words(value)
            for name, value in row.items()
            if name.startswith(MEASURED) and value is not None and name not in ("audio_kept", "audio_reason")
        },
        "files": {
            extension: {"tar": file.tar, "name": file.name, "offset": file.offset, "size": file.size}
            for extension, file in record.files.items()
        },
        "sections": [
            {"title": part.title, "values": [[name, in_words(value)] for name, value in part.values.items()]}
            for part in record.sections
        ],
    }


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[list[str]]:
    """Columns in which two records of the same clip differ, each with both values in words."""
    names = [name for name in dict.fromkeys([*first, *second]) if name not in UNCOMPARED]
    pairs = ((name, in_words(first.get(name)), in_words(second.get(name))) for name in names)
    return [[name, before, now] for name, before, now in pairs if before != now]
