"""`python -m curation show`: everything that is known about one clip, or about one source, in a terminal."""

from __future__ import annotations

import difflib
import json

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from curation.report.record import Section, in_words, printable, quarantine_section, record_of
from curation.shards.clip_table import open_run, read_clips, read_shard
from curation.shards.run_directory import RunDirectory
from infra.config import ConfigError

NUM_MATCHES = 5
MOST_COMPARED = 10_000
"""Keys of a large run that are compared with one that there is not, letter by letter: that many take about a second."""
_NAMES = ("key", "source_key", "shard")


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
    found = directory.index(
        _NAMES, where=lambda rows: pc.or_(pc.equal(rows["key"], key), pc.equal(rows["source_key"], key))
    )
    failed = directory.quarantined()
    if found.num_rows:
        place = pc.index(found["key"], value=key).as_py()
        if place >= 0:
            return _record(directory, found["shard"][place].as_py(), key, is_failed=key in failed)
        return _source(directory, found["shard"][0].as_py(), key)
    if key in failed:
        uncommitted = quarantine_section(directory, key)
        return Group(Text(key, "bold"), Text("not committed yet", "yellow"), *_drawn(uncommitted))
    table = read_clips(directory, ("key", "source_key"))
    known = pa.chunked_array([*table["key"].chunks, *table["source_key"].chunks, pa.array(list(failed), pa.string())])
    nearest = nearest_keys(key, known)
    hint = f", did you mean {' or '.join(nearest)}?" if nearest else f"; it has {table.num_rows:,} rows"
    raise ConfigError(f"{run} has no clip {key!r}{hint}")


def nearest_keys(key: str, known: pa.ChunkedArray) -> list[str]:
    """Known keys that a person may have meant: those that contain what was typed, or else similar ones."""
    unique = known.unique()
    containing = unique.filter(pc.match_substring(unique, key, ignore_case=True)) if key else unique[:0]
    if len(containing):
        return sorted(map(str, containing.to_pylist()))[:NUM_MATCHES]
    return difflib.get_close_matches(key, unique[:MOST_COMPARED].to_pylist(), n=NUM_MATCHES)


def _record(directory: RunDirectory, shard: str, key: str, *, is_failed: bool) -> Group:
    record = record_of(directory, shard, key, is_failed=is_failed)
    rule = f"{record.row['reject_stage']}/{record.row['reject_rule']}"
    decision = Text("kept", "green") if record.row["kept"] else Text(f"rejected: {rule}", "red")
    return Group(Text(key, "bold"), decision, *(part for section in record.sections for part in _drawn(section)))


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
    sections = (
        Section(title="Source", values=record),
        Section(title="Clips", values=clips),
        Section(title="Seconds by stage", values=seconds),
    )
    return Group(Text(key, "bold"), *(part for section in sections for part in _drawn(section)))


def _drawn(section: Section) -> list[RenderableType]:
    if not section.values:
        return []
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in section.values.items():
        # Text, because rich takes brackets in a plain string, such as a file's name, for markup.
        grid.add_row(Text(f"  {printable(name)}"), Text(printable(in_words(value))))
    return [Text(), Text(printable(section.title), "bold"), grid]
