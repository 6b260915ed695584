"""Units of work that were in quarantine and were done again: which shard's rows of them no longer count.

    shards/_retried/<shard>.json    for each unit of that shard that was retried: the shard that has its old row, and
                                    whether it has failed again

A shard never changes, so the old row stays where it is, and readers leave it out. A record is written before its shard
and counts only once that is there: whatever a run is interrupted at, each unit has exactly one result.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Final

from curation.clip.schema import Source
from infra.config import ConfigError
from infra.storage.files import exists, join, list_files, read_bytes, remove, write_atomically
from infra.storage.parallel import in_parallel, requests_at_once

FOLDER: Final = "_retried"


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """A unit that was done again."""

    unit: str
    """Its key."""
    replaces: str
    """The shard that has its old row."""
    has_failed: bool
    """Whether it is in quarantine again."""


class Retries:
    """The records of a directory of shards."""

    def __init__(self, shards: str) -> None:
        self.shards = shards
        self.folder = join(shards, FOLDER)

    def shards_with_records(self) -> list[str]:
        """Names of shards, also of those that were never committed."""
        return [name.removesuffix(".json") for name in list_files(self.folder, ".json")]

    def of(self, shards: Sequence[str]) -> dict[str, tuple[Retry, ...]]:
        """The records of some shards, by their names.

        Raises:
            FileNotFoundError: one has none.
            ConfigError: one is damaged.
        """
        paths = [self._file(shard) for shard in shards]
        return dict(zip(shards, in_parallel(_read, paths, requests_at_once(self.shards)), strict=True))

    def write(self, shard: str, sources: Sequence[Source]) -> None:
        """Record those of a shard's units that are done again. The shard is committed after it."""
        retries = [
            Retry(unit=source.key, replaces=source.replaces, has_failed=source.failure is not None)
            for source in sources
            if source.replaces is not None
        ]
        self.record(shard, retries)

    def record(self, shard: str, retries: Sequence[Retry]) -> None:
        """Write a shard's record, if there is something to record. The shard is committed after it."""
        if retries:
            content = json.dumps([asdict(retry) for retry in retries], indent=1, ensure_ascii=False)
            write_atomically(self._file(shard), content.encode())

    def remove(self, shard: str) -> None:
        """Remove the record of a shard that was never committed."""
        remove(self._file(shard))

    def units_replaced_in(self, shard: str) -> set[str]:
        """Keys of the units whose rows in a shard no longer count."""
        records = self.of(self.shards_with_records())
        found = {new: {retry.unit for retry in each if retry.replaces == shard} for new, each in records.items()}
        committed = (units for new, units in found.items() if units and exists(join(self.shards, f"{new}.parquet")))
        return set().union(*committed)

    def _file(self, shard: str) -> str:
        return join(self.folder, f"{shard}.json")


def named(source: Source) -> str:
    """What the name of a unit's shard is made of: a result that replaces another one is another shard than that."""
    # Some clips of a source are another shard than all of them.
    parts = [source.key, *sorted(source.wanted or ())]
    if source.replaces is not None:
        parts += [source.replaces, "failed" if source.failure is not None else "mended"]
    return "/".join(parts)


def mended(records: Mapping[str, Collection[Retry]]) -> set[str]:
    """Keys of the units that did not fail when they were done last.

    Args:
        records: of all shards that are committed.
    """
    old = {(retry.unit, retry.replaces) for retries in records.values() for retry in retries}
    return {
        retry.unit
        for shard, retries in records.items()
        for retry in retries
        if not retry.has_failed and (retry.unit, shard) not in old
    }


def merged(records: Mapping[str, Collection[Retry]], shards: Sequence[str]) -> tuple[Retry, ...]:
    """The record of a shard that is made of others: what it must go on saying in their place.

    Which rows no longer count stays so. Of a unit that has been done again since, its newest record alone says whether
    it is in quarantine.

    Args:
        records: of all shards that are committed.
        shards: those that it is made of.
    """
    old = {(retry.unit, retry.replaces) for retries in records.values() for retry in retries}
    own = [(shard, retry) for shard in shards for retry in records.get(shard, ())]
    return tuple(replace(each, has_failed=each.has_failed or (each.unit, shard) in old) for shard, each in own)


@lru_cache(maxsize=1 << 16)
def _read(path: str) -> tuple[Retry, ...]:
    """Kept, because a shard's name is made of what its record says."""
    try:
        return tuple(Retry(**retry) for retry in json.loads(read_bytes(path)))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
