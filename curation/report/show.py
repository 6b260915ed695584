"""Everything that is known about one clip, or about one source."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from curation.shards.clip_table import COLUMNS, open_run, read_clips, read_shard
from curation.shards.run_directory import RunDirectory
from infra.config import ConfigError
from infra.storage.files import join, read_bytes

DECISION_COLUMNS = (
    *("kept", "reject_stage", "reject_rule", "reject_value", "reject_threshold"),
    *("audio_kept", "audio_reason", "config_hash"),
)
APART = frozenset({*DECISION_COLUMNS, "thumbnail", "stage_seconds", "shard"})
"""Columns that are shown in a place of their own, or not at all (the thumbnail)."""
NUM_MATCHES = 5


def show(run: str, key: str, decisions: str | None = None) -> RenderableType:
    """The whole record of a clip or source, to be printed by rich.

    Args:
        run: the run directory.
        key: of a clip (its row, decision, scores and, when it was kept, its files and their JSON), or of a source
            (its clips, or why it has none).

    Raises:
        ConfigError: `run` is no run directory or has no such key; the nearest keys are named.
    """
    directory = open_run(run, decisions)
    table = read_clips(directory, ("key", "source_key", "shard"))
    keys, source_keys, shards = (table[name].to_pylist() for name in table.column_names)
    failed = directory.quarantined()
    if key in keys:
        return _record(directory, shards[keys.index(key)], key, is_failed=key in failed)
    if key in source_keys:
        return _source(directory, shards[source_keys.index(key)], key)
    if key in failed:
        return Group(Text(key, "bold"), Text("not committed yet", "yellow"), *_quarantine(directory, key))
    nearest = nearest_keys(key, [*keys, *source_keys, *failed])
    hint = f", did you mean {' or '.join(nearest)}?" if nearest else f"; it has {len(keys):,} rows"
    raise ConfigError(f"{run} has no clip {key!r}{hint}")


def nearest_keys(key: str, known: Iterable[str]) -> list[str]:
    """Known keys that a person may have meant: those that contain what was typed, or else similar ones."""
    unique = sorted(set(known))
    containing = [other for other in unique if key and key.lower() in other.lower()]
    return containing[:NUM_MATCHES] or difflib.get_close_matches(key, unique, n=NUM_MATCHES)


def _record(directory: RunDirectory, shard: str, key: str, *, is_failed: bool) -> Group:
    row = next(row for row in read_shard(directory, shard) if row["key"] == key)
    scores = {name: value for name, value in row.items() if name not in COLUMNS and value is not None}
    record = {name: value for name, value in row.items() if name in COLUMNS and name not in APART}
    parts: list[RenderableType] = [
        Text(key, "bold"),
        Text("kept", "green") if row["kept"] else Text(f"rejected: {row['reject_stage']}/{row['reject_rule']}", "red"),
        *_section("Record", record),
        *_section("Decision", {name: row.get(name) for name in DECISION_COLUMNS}),
        *_section("Scores", scores),
        *_section("Seconds by stage, of the whole source", json.loads(row.get("stage_seconds") or "{}")),
    ]
    if is_failed:
        parts += _quarantine(directory, key)
    files = directory.sample(shard, key)
    if files:
        tar = directory.tar(shard)
        parts += _section(f"Files in {tar}", {f"{key}.{ext}": f"{len(data):,} bytes" for ext, data in files.items()})
        if "json" in files:
            parts += _sample(json.loads(files["json"]), row)
    else:
        parts += _section("Index", {"shard": join(directory.shards, f"{shard}.parquet")})
    return Group(*parts)


def _sample(document: dict[str, Any], row: dict[str, Any]) -> list[RenderableType]:
    """What the sample's JSON says beyond the index row."""
    caption = document.pop("caption", None)
    parts = _section("Caption", _flat(caption)) if caption else _section("Caption", {"caption": None})
    document.pop("scores", None)
    rest = {name: value for name, value in document.items() if name not in row}
    return parts + _section("Sample", _flat(rest))


def _source(directory: RunDirectory, shard: str, key: str) -> Group:
    """A source by its clips."""
    rows = [row for row in read_shard(directory, shard) if row["source_key"] == key]
    clips = {
        row["key"]: f"{row['start_s']:.2f}–{row['end_s']:.2f} s, "
        + ("kept" if row["kept"] else f"{row['reject_stage']}/{row['reject_rule']}")
        for row in rows
    }
    record = {name: rows[0].get(name) for name in ("source", "segment", "source_duration_s", "pool", "config_hash")}
    seconds = json.loads(rows[0].get("stage_seconds") or "{}")
    return Group(
        Text(key, "bold"),
        *_section("Source", record),
        *_section("Clips", clips),
        *_section("Seconds by stage", seconds),
    )


def _quarantine(directory: RunDirectory, key: str) -> list[RenderableType]:
    path = directory.quarantined()[key]
    return _section(f"Quarantine: {path}", json.loads(read_bytes(path)))


def _section(title: str, values: dict[str, Any]) -> list[RenderableType]:
    if not values:
        return []
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in values.items():
        # Text, because rich takes brackets in a plain string, such as a file's name, for markup.
        grid.add_row(Text(f"  {printable(name)}"), Text(printable(_value(value))))
    return [Text(), Text(printable(title), "bold"), grid]


def printable(text: str) -> str:
    """Text with its control characters spelled out, so that a file's name cannot control the terminal; line ends
    stay."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names; empty ones left out."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
