"""The whole record of one row of the index, as sections of names and values: what `show` prints and `browse` serves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curation.shards.clip_table import COLUMNS, read_shard
from curation.shards.run_directory import RunDirectory
from infra.config import ConfigError
from infra.storage.files import join, read_bytes
from infra.storage.tar_members import TarMember

DECISION_COLUMNS = (
    *("kept", "reject_stage", "reject_rule", "reject_value", "reject_threshold"),
    *("audio_kept", "audio_reason", "duplicate_of", "config_hash"),
)
PRINTS = frozenset(name for name, kind in COLUMNS.items() if pa.types.is_binary(kind))
"""Columns of bytes: the thumbnail, and what clips are recognised by."""
APART = frozenset({*DECISION_COLUMNS, *PRINTS, "stage_seconds", "shard"})
"""Columns that are shown in a place of their own, or not at all (bytes)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Values that belong together."""

    title: str
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Everything that is known about one clip, or about a source that has none."""

    row: Mapping[str, Any]
    """Its row of the index."""
    sample: Mapping[str, Any] | None
    """Its JSON in the shard; None for what was not kept."""
    files: Mapping[str, TarMember]
    """Its files in the shard by extension."""
    sections: tuple[Section, ...]
    """All of it, in the order in which it is read."""


def record_of(directory: RunDirectory, shard: str, key: str, *, is_failed: bool) -> Record:
    """Put together what the index, the shard and the quarantine say.

    Args:
        directory: of the run.
        shard: the name of the shard that has the row.
        key: of the row.
        is_failed: whether it stands for a source in quarantine.

    Raises:
        ConfigError: the shard no longer has the row, or its tar is damaged.
    """
    row = next((row for row in read_shard(directory, shard) if row["key"] == key), None)
    if row is None:
        raise ConfigError(f"{directory.shards}/{shard}.parquet no longer has {key}")
    scores = {name: value for name, value in row.items() if name not in COLUMNS and value is not None}
    known = {name: value for name, value in row.items() if name in COLUMNS and name not in APART}
    sections = [
        Section(title="Record", values=known),
        Section(title="Decision", values={name: row.get(name) for name in DECISION_COLUMNS}),
        Section(title="Scores", values=scores),
        Section(title="Seconds by stage, of the whole source", values=json.loads(row.get("stage_seconds") or "{}")),
    ]
    if is_failed:
        sections.append(quarantine_section(directory, key))
    files = directory.files_of(shard, key)
    sample = _document(files["json"]) if "json" in files else None
    if files:
        tar = directory.tar(shard)
        lie = {file.name: f"{file.size:,} bytes at offset {file.offset:,}" for file in files.values()}
        sections.append(Section(title=f"Files in {tar}", values=lie))
        sections += _sample(sample or {}, row)
    else:
        sections.append(Section(title="Index", values={"shard": join(directory.shards, f"{shard}.parquet")}))
    return Record(row=row, sample=sample, files=files, sections=tuple(part for part in sections if part.values))


def _document(file: TarMember) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(file.read())
    except ValueError as error:
        raise ConfigError(f"{file.name} in {file.tar} cannot be read: {error}") from error
    return document


def quarantine_section(directory: RunDirectory, key: str) -> Section:
    """Why a source could not be processed."""
    path = directory.quarantined()[key]
    return Section(title=f"Quarantine: {path}", values=json.loads(read_bytes(path)))


def in_words(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def printable(text: str) -> str:
    """Text with its control characters spelled out, so that a file's name cannot control the terminal; line ends
    stay."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _sample(document: Mapping[str, Any], row: Mapping[str, Any]) -> list[Section]:
    """What the sample's JSON says beyond the index row."""
    caption = document.get("caption")
    rest = {name: value for name, value in document.items() if name not in row and name not in ("caption", "scores")}
    return [
        Section(title="Caption", values=flat(caption) if caption else {"caption": None}),
        Section(title="Sample", values=flat(rest)),
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names; empty ones left out."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
