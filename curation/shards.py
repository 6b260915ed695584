"""Shards are the ledger: a tar of samples, and its Parquet index, whose appearance is the commit.

`soul-<id>.tar` holds the kept clips (`<key>.mp4`, `.wav`, `.json`); `soul-<id>.parquet` has a row for every clip of
the same sources, kept or not. The index is written last and atomically. A tar without its index was never
committed and is removed when the next run starts; a group of sources of which nothing was kept has no tar.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.config import ConfigError
from curation.records import index_rows, sample_json
from curation.schema import Clip, Source
from curation.storage import filesystem, is_local, join, list_files, read_bytes, remove, write_atomically

SESSION_FILE = "_session"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardsConfig:
    """Size of shards."""

    sources_per_shard: int = 8
    """Units of work that are packed and committed together; what a crash can lose at most, per worker."""
    max_samples: int = 1000
    max_bytes: int = 1 << 30
    """1 GiB, WebDataset's usual size. A single unit that is larger still ends in one shard."""

    def __post_init__(self) -> None:
        """Refuse sizes that pack nothing."""
        if min(self.sources_per_shard, self.max_samples, self.max_bytes) < 1:
            raise ValueError("sources_per_shard, max_samples and max_bytes must be at least 1")


class TakenOverError(RuntimeError):
    """Another run has started on the same directory; this one may not commit any more."""


class RunDirectory:
    """The shards and quarantine of one run, on any file system that fsspec reaches."""

    def __init__(self, run: str) -> None:
        self.run = run.rstrip("/")
        self.shards = join(self.run, "shards")
        self.quarantine = join(self.run, "quarantine")

    def open_session(self, session: str) -> int:
        """Take the directory over and remove what earlier runs left uncommitted; returns how many files."""
        write_atomically(join(self.shards, SESSION_FILE), session.encode())
        committed = {name.removesuffix(".parquet") for name in list_files(self.shards, ".parquet")}
        names = list_files(self.shards)
        orphans = [
            name for name in names if name.endswith(".tmp") or (name.endswith(".tar") and name[:-4] not in committed)
        ]
        for name in orphans:
            remove(join(self.shards, name))
        return len(orphans)

    def check_session(self, session: str) -> None:
        """Refuse to go on after another run took over.

        Raises:
            TakenOverError: it did.
        """
        if read_bytes(join(self.shards, SESSION_FILE)).decode() != session:
            raise TakenOverError(f"another run has started on {self.run}")

    def index(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All committed rows; `columns` that a shard lacks are null. An empty table when there are none."""
        tables = []
        for name in list_files(self.shards, ".parquet"):
            shard = name.removesuffix(".parquet")
            table = self.shard_index(shard, columns)
            if columns is None or "shard" in columns:
                table = table.append_column("shard", pa.array([shard] * table.num_rows))
            tables.append(table)
        return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})

    def shard_index(self, shard: str, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of one shard; a column of `columns` that it lacks is left out."""
        # Threads of Arrow's that still run when the interpreter ends can abort it; shards are small.
        file = pq.ParquetFile(io.BytesIO(read_bytes(join(self.shards, f"{shard}.parquet"))), pre_buffer=False)
        wanted = [name for name in file.schema_arrow.names if columns is None or name in columns]
        return file.read(wanted, use_threads=False)

    def committed(self) -> set[str]:
        """Keys of the units of work that are done.

        Raises:
            ConfigError: a unit is in two shards, so the directory was written by something else.
        """
        table = self.index(["source_key", "shard"])
        if not table.num_rows:
            return set()
        pairs = set(zip(table["source_key"].to_pylist(), table["shard"].to_pylist(), strict=True))
        keys = {key for key, _ in pairs}
        if len(keys) != len(pairs):
            raise ConfigError(f"{self.shards}: some sources are in more than one shard; start a new run directory")
        return keys

    def sample(self, shard: str, key: str) -> dict[str, bytes]:
        """Files of one sample by extension; empty when the shard does not hold it."""
        fs, plain = filesystem(join(self.shards, f"{shard}.tar"))
        files: dict[str, bytes] = {}
        if not fs.exists(plain):
            return files
        with fs.open(plain, "rb") as raw, tarfile.open(fileobj=raw) as tar:
            for member in tar:
                stem, _, extension = member.name.partition(".")
                content = tar.extractfile(member)
                if stem == key and content is not None:
                    files[extension] = content.read()
        return files


class ShardWriter:
    """Packs finished sources into shards and commits them."""

    def __init__(self, run: str, config: ShardsConfig, config_hash: str, session: str) -> None:
        self.directory = RunDirectory(run)
        self.config = config
        self.config_hash = config_hash
        self.session = session

    def write(self, sources: Sequence[Source]) -> list[str]:
        """Commit the sources, in as few shards as the bounds allow; returns the shards' names.

        Writing the same sources again gives the same names, so a repeated attempt replaces itself.

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
        keys = sorted(source.key for source in sources)
        name = f"soul-{hashlib.sha256('|'.join(keys).encode()).hexdigest()[:16]}"
        for source in sources:
            if source.failure is not None:
                self._quarantine(source)
        if any(exported(source) for source in sources):
            self._write_tar(join(self.directory.shards, f"{name}.tar"), sources)
        rows = [row for source in sources for row in index_rows(source, self.config_hash)]
        sink = io.BytesIO()
        pq.write_table(_table(rows), sink)
        self.directory.check_session(self.session)
        write_atomically(join(self.directory.shards, f"{name}.parquet"), sink.getvalue())
        return name

    def _write_tar(self, path: str, sources: list[Source]) -> None:
        """Stage the tar on local disk beside its place (or in the temporary directory), then move it there."""
        fs, plain = filesystem(path)
        near = Path(plain).parent if is_local(path) else None
        if near is not None:
            near.mkdir(parents=True, exist_ok=True)
        handle, staged = tempfile.mkstemp(prefix=".soul-", suffix=".tmp", dir=near)
        try:
            with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
                for source in sources:
                    for clip in exported(source):
                        for extension, content in _files(source, clip, self.config_hash).items():
                            member = tarfile.TarInfo(f"{clip.key}.{extension}")
                            member.size = len(content)
                            tar.addfile(member, io.BytesIO(content))
            if near is not None:
                Path(staged).chmod(0o644)
                Path(staged).replace(plain)
            else:
                fs.put_file(staged, plain)
        finally:
            Path(staged).unlink(missing_ok=True)

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
    return len(clip.payload.mp4) + len(clip.payload.wav or b"") + 4096


def _files(source: Source, clip: Clip, config_hash: str) -> dict[str, bytes]:
    """A sample's files by extension; WebDataset wants them one after the other."""
    assert clip.payload is not None
    record = json.dumps(sample_json(source, clip, config_hash), ensure_ascii=False).encode()
    sound = {} if clip.payload.wav is None else {"wav": clip.payload.wav}
    return {"mp4": clip.payload.mp4, **sound, "json": record}


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows with differing scores as one table: a column for every name, null where a row lacks it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: [row.get(name) for row in rows] for name in names})
