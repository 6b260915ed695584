"""Making one shard of several: a tar with all their samples, one index, and then their deletion."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from curation.compaction.plan import Merge
from curation.shards.run_directory import RunDirectory
from infra.config import ConfigError
from infra.storage.commits import StagedTar, staged_tar
from infra.storage.files import exists, join, local_copy, remove

VIDEO: Final = "mp4"
"""Extension of the file that every sample has."""


def write_merged(directory: RunDirectory, merge: Merge, alive: Callable[[], None]) -> pa.Table:
    """Write the tar of a merge, if there is anything in it; returns the rows that are to be committed.

    Args:
        directory: the run's.
        merge: what is made of what.
        alive: called after every sample.

    Raises:
        FileNotFoundError: one of the shards is gone.
        ConfigError: one of the shards is damaged, or they do not go together.
        OSError: the disk is full or the store fails; nothing is lost by that.
    """
    tables = {shard: directory.rows_of(shard) for shard in merge.shards}
    try:
        table = pa.concat_tables(tables.values(), promote_options="permissive")
    except pa.ArrowException as error:
        raise ConfigError(f"the shards of {merge.name} do not go together: {error}") from error
    kept = {shard: _kept(rows) for shard, rows in tables.items()}
    if any(kept.values()):
        with staged_tar(directory.tar(merge.name)) as tar:
            for shard, keys in kept.items():
                if keys:
                    _copy(directory.tar(shard), keys, tar, alive)
    return table


def commit_merged(directory: RunDirectory, merge: Merge, rows: pa.Table, session: str) -> None:
    """Publish a merge whose tar is written, and delete what it is made of.

    Raises:
        TakenOverError: another run has started on the directory.
        OSError: the disk is full or the store fails; nothing is lost by that.
    """
    directory.retries.record(merge.name, merge.retries)
    directory.commit_table(merge.name, rows, session)
    delete_parts(directory, merge)


def delete_parts(directory: RunDirectory, merge: Merge) -> None:
    """Delete the shards of a merge that is committed, as far as they are still there."""
    for shard in merge.shards:
        remove(_index(directory, shard))
    for shard in merge.shards:
        remove(directory.tar(shard))
        if merge.retries:
            directory.retries.remove(shard)


def is_committed(directory: RunDirectory, merge: Merge) -> bool:
    """Whether a merge was done before."""
    return exists(_index(directory, merge.name))


def _index(directory: RunDirectory, shard: str) -> str:
    return join(directory.shards, f"{shard}.parquet")


def _kept(rows: pa.Table) -> set[str]:
    if not {"key", "kept"} <= set(rows.column_names):
        return set()
    return set(rows["key"].filter(pc.fill_null(rows["kept"], fill_value=False)).to_pylist())


def _copy(path: str, keys: set[str], into: StagedTar, alive: Callable[[], None]) -> None:
    """Copy the files of some samples; a tar that is not on this machine is fetched whole, and deleted afterwards."""
    missing = set(keys)
    try:
        with local_copy(path) as local, tarfile.open(local, mode="r:") as tar:
            for member in tar:
                key, _, extension = member.name.partition(".")
                file = tar.extractfile(member)
                if key not in keys or file is None:
                    continue
                content = file.read()
                if len(content) < member.size:
                    raise ConfigError(f"{path} is damaged: it ends within {member.name}")
                into.add(member.name, content)
                if extension == VIDEO:
                    missing.discard(key)
                    alive()
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing: the index has samples of it") from None
    except (tarfile.TarError, EOFError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    if missing:
        raise ConfigError(f"{path} is damaged: it lacks {len(missing)} of its samples, among them {min(missing)}")
