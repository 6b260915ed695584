"""Versions of a run's index: the same clips by other thresholds, or without duplicates, `RUN/decisions/NAME/`.

    decisions.parquet    a row for every row of the run as it was then: its state by these thresholds; the settings
                         are in its metadata, and its appearance is the commit
    shards/              what a run has computed for it since: clips that the run itself had never computed
    quarantine/          sources that failed in that

The run's own shards stay as they are. A version keeps a clip only where all of it is there, with the same files that a
run by these settings would have made: what is still to be computed is not in it. Nor are the clips
that the run has made since of a source that was in quarantine then: they are newer. A version may be one of another
version: it then decides about the rows as that one shows them.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.shards.run_directory import RunDirectory
from infra.config import ConfigError
from infra.storage.commits import chosen
from infra.storage.files import join, list_files, list_folders, read_bytes, write_atomically

FOLDER: Final = "decisions"
FILE: Final = "decisions.parquet"
TO_COMPUTE: Final = "to_compute"
"""The rule of a clip that is still to be computed; its stage is the one from which on nothing is known."""
_METADATA: Final = b"soul"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class State(StrEnum):
    """What becomes of a row."""

    KEPT = "kept"
    REJECTED = "rejected"
    TO_COMPUTE = TO_COMPUTE


SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("key", "source", "source_key", "parent_key", "shard", "state")),
        *((name, pa.string()) for name in ("reject_stage", "reject_rule", "audio_reason", "duplicate_of")),
        *((name, pa.float64()) for name in ("reject_value", "reject_threshold")),
        *((name, pa.bool_()) for name in ("kept", "audio_kept", "is_heard")),
    ]
)
"""Columns of a version's decisions. `is_heard`: the sound of its shot is judged by it, among others."""
OVERLAID: Final = (
    *("kept", "reject_stage", "reject_rule", "reject_value", "reject_threshold"),
    *("audio_kept", "audio_reason", "duplicate_of"),
)
"""Columns of the index that a version gives anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionInfo:
    """What a version was made by, and what came out."""

    config_hash: str
    """Of the settings: a run by these goes on with the version."""
    settings: Mapping[str, Any]
    """Nested mappings, from which the configuration can be made again."""
    changes: Mapping[str, tuple[Any, Any]]
    """Setting → its value in the run and in the version."""
    written: str
    """Date and time."""
    counts: Mapping[str, int]
    """Rows by state."""
    of: str | None = None
    """The version that it is a version of; None where it is one of the run itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What is still to be computed of one unit of work."""

    source: str
    """Path or URI."""
    wanted: frozenset[str] | None
    """Keys of clips; None for all of the unit."""


def versions(run: str) -> list[str]:
    """Names of a run's versions."""
    return [name for name in list_folders(join(run, FOLDER)) if list_files(join(run, FOLDER, name), FILE)]


def check_name(name: str) -> str:
    """A name that a version can have.

    Raises:
        ConfigError: it cannot be the name of a folder everywhere.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be a version's name: letters, digits, - and _, at most 64")
    return name


class Version(RunDirectory):
    """A run's clips by other thresholds: what is asked of a run directory, answered by the version."""

    def __init__(self, run: str, name: str) -> None:
        self.of_run = run.rstrip("/")
        self.name = check_name(name)
        super().__init__(join(self.of_run, FOLDER, name))

    @classmethod
    def existing(cls, run: str, name: str) -> Self:
        """The version of a name.

        Raises:
            ConfigError: there is none.
        """
        if name not in versions(run):
            known = ", ".join(versions(run)) or "none; `python -m curation decide --apply NAME` makes one"
            raise ConfigError(f"{run} has no decisions {name!r}; there are {known}")
        return cls(run, name)

    @cached_property
    def base(self) -> RunDirectory:
        """What it decides about: the run, or another version of it."""
        other = self.info.of
        return RunDirectory(self.of_run) if other is None else Version.existing(self.of_run, other)

    @cached_property
    def own(self) -> RunDirectory:
        """What was computed for this version alone."""
        return RunDirectory(self.run)

    @property
    def info(self) -> VersionInfo:
        """What it was made by."""
        return VersionInfo(**json.loads(self.decisions.schema.metadata[_METADATA]))

    @cached_property
    def decisions(self) -> pa.Table:
        """A row for every row of the run as it was when the version was made.

        Raises:
            ConfigError: the file is damaged.
        """
        path = join(self.run, FILE)
        try:
            table = pq.ParquetFile(io.BytesIO(read_bytes(path)), pre_buffer=False).read(use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
        # A version that is older than a column has none of it.
        for name in SCHEMA.names:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(table.num_rows, SCHEMA.field(name).type))
        return table

    def write(self, decisions: pa.Table, info: VersionInfo) -> None:
        """Commit the version: the decisions (`SCHEMA`) with what they were made by."""
        sink = io.BytesIO()
        metadata = {_METADATA: json.dumps(asdict(info), ensure_ascii=False, default=str).encode()}
        pq.write_table(decisions.cast(SCHEMA).replace_schema_metadata(metadata), sink)
        write_atomically(join(self.run, FILE), sink.getvalue())
        for known in ("decisions", "base", "_shards", "_seen", "_keys"):
            self.__dict__.pop(known, None)

    def remembering(self) -> Self:
        """This version; what is read of the run and of its own shards is kept."""
        self.base.remembering()
        self.own.remembering()
        return self

    def names(self) -> list[str]:
        """The shards of the run that have rows it has seen, and its own."""
        return [*self._seen_shards(), *self.own.names()]

    def index(
        self,
        columns: Sequence[str] | None = None,
        *,
        without: Collection[str] = (),
        where: Callable[[pa.Table], Any] | None = None,
        told: Callable[[int, int], None] = lambda _done, _of: None,
    ) -> pa.Table:
        """All rows as this version decides them: those of the run that it has seen, then those of its own shards.

        Raises:
            ConfigError: a file is damaged.
        """
        asked = None if columns is None else list(dict.fromkeys([*columns, "key"]))
        base = self._decided(self.base.index(asked, without=without, told=told), columns, without)
        own = self.own.index(asked, without=without)
        tables = [table for table in (base, own) if table.num_rows]
        table = pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})
        if where is not None and table.num_rows:
            table = table.filter(where(table))
        return chosen(table, columns, without)

    def rows_of(self, name: str, columns: Sequence[str] | None = None, *, without: Collection[str] = ()) -> pa.Table:
        """The rows of one shard, as this version decides them; those that it has computed anew are in its own shards.

        Raises:
            FileNotFoundError: there is no such shard.
            ConfigError: the file is damaged.
        """
        if name not in self._shards and name in self.own.names():
            return self.own.rows_of(name, columns, without=without)
        asked = None if columns is None else list(dict.fromkeys([*columns, "key"]))
        rows = self._decided(self.base.rows_of(name, asked, without=without), columns, without)
        return rows if columns is None else rows.select([each for each in columns if each in rows.column_names])

    def _decided(self, rows: pa.Table, columns: Sequence[str] | None, without: Collection[str]) -> pa.Table:
        """Rows of the run as this version decides them: without those that it has not seen or has computed anew.

        Rows are found by their keys: which shard they are in changes when small shards are merged.
        """
        if not rows.num_rows:
            return rows
        keys, units = self._computed
        places = pc.index_in(rows["key"], value_set=self._keys)
        anew = pc.or_(pc.is_in(rows["key"], keys), pc.is_in(rows["key"], units))
        mine = pc.and_(pc.is_valid(places), pc.invert(anew))
        rows, places = rows.filter(mine), places.filter(mine)
        for column in OVERLAID:
            if (columns is None or column in columns) and column not in without:
                place = rows.column_names.index(column) if column in rows.column_names else None
                new = self._seen[column].take(places)
                rows = rows.append_column(column, new) if place is None else rows.set_column(place, column, new)
        if "config_hash" in rows.column_names:
            decided_by = pa.array([self.info.config_hash] * rows.num_rows, pa.string())
            rows = rows.set_column(rows.column_names.index("config_hash"), "config_hash", decided_by)
        return rows

    def quarantined(self) -> dict[str, str]:
        """The run's quarantine files, and its own."""
        return {**self.base.quarantined(), **super().quarantined()}

    def tar(self, shard: str) -> str:
        """Where a shard's tar is: the run's, or the version's own."""
        mine = shard not in self._shards and shard in self.own.names()
        return super().tar(shard) if mine else self.base.tar(shard)

    def newer_shards(self) -> list[str]:
        """Shards that the run has got since the version was made."""
        if not (others := set(self.base.names()) - self._shards):
            return []
        rows = self.base.index(["key", "shard"])
        unseen = rows.filter(pc.invert(pc.is_in(rows["key"], value_set=self._keys)))
        return sorted(others & set(unseen["shard"].unique().to_pylist()))

    def _seen_shards(self) -> list[str]:
        """The shards of the run that have rows it has seen."""
        names = set(self.base.names())
        if names >= self._shards:
            return sorted(self._shards)
        # Some were merged.
        rows = self.base.index(["key", "shard"])
        return sorted(rows.filter(pc.is_in(rows["key"], value_set=self._keys))["shard"].unique().to_pylist())

    def work(self, again: Collection[str] = ()) -> dict[str, Work]:
        """What is still to be computed, by the key of the unit of work.

        Args:
            again: units that are computed once more.
        """
        _, done = self._computed
        done = done.filter(pc.invert(pc.is_in(done, value_set=pa.array(sorted(again), pa.string()))))
        rows = self.decisions.filter(pc.equal(self.decisions["state"], State.TO_COMPUTE.value))
        rows = rows.filter(pc.invert(pc.is_in(rows["source_key"], done)))
        wanted: dict[str, set[str] | None] = {}
        sources: dict[str, str] = {}
        for row in rows.select(["key", "source", "source_key", "parent_key"]).to_pylist():
            sources[row["source_key"]] = row["source"]
            if row["key"] == row["source_key"]:
                wanted[row["source_key"]] = None
            elif (keys := wanted.setdefault(row["source_key"], set())) is not None:
                # A crop is made of its parent, with it.
                keys.add(row["parent_key"] or row["key"])
        return {
            unit: Work(source=sources[unit], wanted=None if keys is None else frozenset(keys))
            for unit, keys in wanted.items()
        }

    @cached_property
    def _shards(self) -> frozenset[str]:
        """The shards of the run as they were when the version was made."""
        return frozenset(self.decisions["shard"].unique().to_pylist())

    @cached_property
    def _seen(self) -> pa.Table:
        """The decisions that still say something.

        A clip that had yet to be computed, and that the version which this one decides about has computed since, is
        newer than this one.
        """
        if not isinstance(self.base, Version):
            return self.decisions
        keys, _ = self.base._computed
        waited = pc.equal(self.decisions["state"], State.TO_COMPUTE.value)
        return self.decisions.filter(pc.invert(pc.and_(waited, pc.is_in(self.decisions["key"], value_set=keys))))

    @cached_property
    def _keys(self) -> pa.Array:
        return self._seen["key"].combine_chunks()

    @cached_property
    def _computed(self) -> tuple[pa.Array, pa.Array]:
        """Keys of the clips, and of the units of work, that its own shards have."""
        table = self.own.index(["key", "source_key"])
        if not table.num_rows:
            return pa.array([], pa.string()), pa.array([], pa.string())
        return table["key"].combine_chunks(), table["source_key"].combine_chunks().unique()


def open_clips(run: str, decisions: str | None) -> RunDirectory:
    """A run's own index, or the version of it that is asked for.

    Raises:
        ConfigError: there is no such version.
    """
    if not decisions:
        return RunDirectory(run)
    return Version.existing(run, decisions)
