"""Shards record what is done: each is a tar of samples and its Parquet index, and writing the index is the commit.

`soul-<id>.tar` holds the kept clips (`<key>.mp4`, `.wav`, `.json`); `soul-<id>.parquet` has a row for every clip of
the same sources, kept or not. The index is written last and atomically. A tar without its index was never
committed and is removed when the next run starts; a group of sources of which nothing was kept has no tar.

A unit that was in quarantine and was done again is in a further shard, and its old row is left out (`retries.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from curation.clip.schema import Clip, Source
from curation.shards.clip_rows import DecidedBy, index_rows, sample_json
from curation.shards.retries import Retries, mended, named
from infra.config import ConfigError
from infra.storage.commits import CommitDirectory, chosen, staged_tar
from infra.storage.files import join, list_files, remove, write_atomically
from infra.storage.replaced_rows import ReplacedRows
from infra.storage.tar_members import TarMember, tar_members

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardsConfig:
    """Size of shards."""

    sources_per_shard: int = 8
    """Units of work that are packed and committed together; what a crash can lose at most, per worker."""
    merge: bool = True
    """Merge small shards at the end of a run, where they fill a large one; `curation compact` does it at any time."""
    max_samples: int = 1000
    max_bytes: int = 1 << 30
    """1 GiB, WebDataset's usual size. A single unit that is larger still goes into one shard."""

    def __post_init__(self) -> None:
        """Refuse sizes that pack nothing."""
        if min(self.sources_per_shard, self.max_samples, self.max_bytes) < 1:
            raise ValueError("sources_per_shard, max_samples and max_bytes must be at least 1")


class RunDirectory(CommitDirectory):
    """The shards and quarantine of one curation run, on any file system that fsspec reaches."""

    left_out: ClassVar = frozenset({"thumbnail"})
    planned_with: ClassVar = ("source_key", "config_hash")

    def __init__(self, run: str) -> None:
        self.run = run.rstrip("/")
        self.shards = join(self.run, "shards")
        self.quarantine = join(self.run, "quarantine")
        self.retries = Retries(self.shards)
        self._merged_into: dict[str, str] = {}
        super().__init__(self.shards)

    def open_session(self, session: str) -> int:
        """Take the directory over, and remove what earlier runs left uncommitted or had no time to remove.

        Returns:
            How many files were removed.
        """
        num_removed = super().open_session(session)
        committed = self._sizes()
        never = [shard for shard in self.retries.shards_with_records() if shard not in committed]
        left_over = self._quarantine_files().keys() & self._mended()
        for shard in never:
            self.retries.remove(shard)
        for unit in left_over:
            self.release(unit)
        return num_removed + len(never) + len(left_over)

    def rows_of(self, name: str, columns: Sequence[str] | None = None, *, without: Collection[str] = ()) -> pa.Table:
        """The rows of one shard that count; a column of `columns` that it lacks is left out, and so are `without`.

        Raises:
            FileNotFoundError: there is no such shard.
            ConfigError: the file is damaged.
        """
        units = self.retries.units_replaced_in(name)
        if not units:
            return super().rows_of(name, columns, without=without)
        asked = None if columns is None else list(dict.fromkeys([*columns, "source_key"]))
        rows = super().rows_of(name, asked, without=set(without) - {"source_key"})
        replaced = pc.is_in(rows["source_key"], value_set=pa.array(sorted(units), pa.string()))
        return chosen(rows.filter(pc.invert(replaced)), columns, without)

    def _replaced(self, names: Collection[str]) -> ReplacedRows:
        records = self.retries.of([shard for shard in self.retries.shards_with_records() if shard in names])
        pairs = {(retry.unit, retry.replaces) for retries in records.values() for retry in retries}
        return ReplacedRows.of("source_key", pairs)

    def _mended(self) -> set[str]:
        """Keys of the units that were in quarantine and no longer are."""
        # The records are listed first: without any, which is the rule, the shards need not be.
        if not (shards := self.retries.shards_with_records()):
            return set()
        committed = self._sizes()
        return mended(self.retries.of([shard for shard in shards if shard in committed]))

    def committed(self) -> set[str]:
        """Keys of the units of work that are done.

        Raises:
            ConfigError: a unit is in two shards, so the directory was written by something else.
        """
        table = self.index(["source_key", "shard"])
        if not table.num_rows:
            return set()
        pairs = table.group_by(["source_key", "shard"]).aggregate([])
        keys = set(pairs["source_key"].to_pylist())
        if len(keys) != pairs.num_rows:
            raise ConfigError(f"{self.shards}: some sources are in more than one shard; start a new run directory")
        return keys

    def shards_of(self, keys: Collection[str]) -> dict[str, str]:
        """The shards that have the rows of some keys now; keys that no shard has are left out."""
        wanted = pa.array(sorted(keys), pa.string())
        table = self.index(["key", "shard"], where=lambda rows: pc.is_in(rows["key"], value_set=wanted))
        return dict(zip(table["key"].to_pylist(), table["shard"].to_pylist(), strict=True)) if table.num_rows else {}

    def quarantined(self) -> dict[str, str]:
        """The quarantine files, by the key of the unit of work."""
        files = self._quarantine_files()
        # A run that was killed can have left files of units that are no longer in quarantine.
        gone = self._mended() if files else set()
        return {unit: path for unit, path in files.items() if unit not in gone}

    def release(self, unit: str) -> None:
        """Remove the quarantine file of a unit that was done again and has not failed."""
        remove(join(self.quarantine, f"{unit}.json"))

    def _quarantine_files(self) -> dict[str, str]:
        return {
            name.removesuffix(".json"): join(self.quarantine, name) for name in list_files(self.quarantine, ".json")
        }

    def no_longer_there(self) -> set[str]:
        """Files below the run that it once had: of shards that were merged, and of units that were in quarantine."""
        former = self.merges.former() - set(self.names())
        files = {f"shards/{shard}.{extension}" for shard in former for extension in ("parquet", "tar")}
        return files | {f"quarantine/{unit}.json" for unit in self._mended()}

    def tar(self, shard: str) -> str:
        """Where a shard's tar is; a shard of which nothing was kept has none."""
        return join(self.shards, f"{shard}.tar")

    def sample(self, shard: str, key: str) -> dict[str, bytes]:
        """Files of one sample by extension; empty when the shard, or what it was merged into, does not hold it.

        Raises:
            ConfigError: the shard's tar is damaged.
        """
        return {extension: member.read() for extension, member in self.files_of(shard, key).items()}

    def files_of(self, shard: str, key: str) -> dict[str, TarMember]:
        """Where the files of one sample lie, by extension; empty when the shard does not hold it.

        Raises:
            ConfigError: the shard's tar is damaged.
        """
        try:
            return files_by_extension(self.read_of(shard, key, lambda now: tar_members(self.tar(now))), key)
        except FileNotFoundError:
            return {}  # nothing was kept

    def read_of(self, shard: str, key: str, read: Callable[[str], T]) -> T:
        """What is read of the shard that has a key: of the one that is named, or of what it was merged into since.

        Raises:
            FileNotFoundError: what is read is in neither.
        """
        shard = self._merged_into.get(shard, shard)
        try:
            return read(shard)
        except FileNotFoundError:
            now = self.shards_of([key]).get(key, shard)
            if now == shard:
                raise
        self._merged_into[shard] = now
        return self.read_of(now, key, read)


def files_by_extension(members: Mapping[str, TarMember], key: str) -> dict[str, TarMember]:
    """The files `<key>.<extension>` among a shard's."""
    split = ((name.partition("."), member) for name, member in members.items())
    return {extension: member for (stem, _, extension), member in split if stem == key}


class ShardWriter:
    """Packs finished sources into shards and commits them."""

    def __init__(self, run: str, config: ShardsConfig, decided_by: DecidedBy, session: str) -> None:
        self.directory = RunDirectory(run)
        self.config = config
        self.decided_by = decided_by
        self.session = session

    def write(self, sources: Sequence[Source]) -> list[str]:
        """Commit the sources, in as few shards as the bounds allow; returns the shards' names.

        Writing the same sources again gives the same names, so a repeated attempt replaces the one before.

        Raises:
            TakenOverError: another run has started on the directory.
        """
        return [self._commit(group) for group in self._groups(sources)]

    def _groups(self, sources: Sequence[Source]) -> Iterator[list[Source]]:
        group: list[Source] = []
        num_samples = num_bytes = 0
        for source in sources:
            samples, size = len(exported(source)), sum(_size(clip) for clip in exported(source))
            full = num_samples + samples > self.config.max_samples or num_bytes + size > self.config.max_bytes
            if group and full:
                yield group
                group, num_samples, num_bytes = [], 0, 0
            group.append(source)
            num_samples, num_bytes = num_samples + samples, num_bytes + size
        if group:
            yield group

    def _commit(self, sources: list[Source]) -> str:
        name = f"soul-{hashlib.sha256('|'.join(sorted(map(named, sources))).encode()).hexdigest()[:16]}"
        for source in sources:
            if source.failure is not None:
                self._quarantine(source)
        if any(exported(source) for source in sources):
            self._write_tar(self.directory.tar(name), sources)
        rows = [row for source in sources for row in index_rows(source, self.decided_by)]
        self.directory.retries.write(name, sources)
        self.directory.commit(name, rows, self.session)
        for source in sources:
            if source.replaces is not None and source.failure is None:
                self.directory.release(source.key)
        return name

    def _write_tar(self, path: str, sources: list[Source]) -> None:
        with staged_tar(path) as tar:
            for source in sources:
                for clip in exported(source):
                    for extension, content in _files(source, clip, self.decided_by).items():
                        tar.add(f"{clip.key}.{extension}", content)

    def _quarantine(self, source: Source) -> None:
        assert source.failure is not None
        document = {"source": source.uri, "segment": source.segment, **asdict(source.failure)}
        path = join(self.directory.quarantine, f"{source.key}.json")
        write_atomically(path, json.dumps(document, indent=1, ensure_ascii=False).encode())


def exported(source: Source) -> list[Clip]:
    """The clips of a source that go into the tar."""
    if not source.active:
        return []
    return [clip for clip in source.clips if clip.kept and clip.payload is not None]


def _size(clip: Clip) -> int:
    assert clip.payload is not None
    return clip.payload.num_bytes + 4096


def _files(source: Source, clip: Clip, decided_by: DecidedBy) -> dict[str, bytes]:
    """A sample's files by extension; WebDataset wants them one after the other."""
    assert clip.payload is not None
    record = json.dumps(sample_json(source, clip, decided_by), ensure_ascii=False).encode()
    sound = {} if clip.payload.wav is None else {"wav": clip.payload.wav}
    return {"mp4": clip.payload.mp4, **sound, "json": record}
