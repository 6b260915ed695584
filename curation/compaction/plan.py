"""Which small shards are to become large ones.

A run commits few sources at a time, so that little is lost when it is broken off. Readers want shards of a gigabyte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow.compute as pc

from curation.shards.retries import Retry, merged
from curation.shards.run_directory import RunDirectory, ShardsConfig
from infra.storage.files import file_sizes

ROWS_PER_SAMPLE: Final = 20
"""A shard has at most so many rows for each sample that it may have: of sources of which nothing is kept only rows are
left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """A committed shard's size."""

    name: str
    num_samples: int
    num_rows: int
    num_bytes: int
    """Of its tar."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Merge:
    """A shard that is to be made of others."""

    name: str
    shards: tuple[str, ...]
    """Names of those that it is made of."""
    num_samples: int
    num_bytes: int
    """Of their tars."""
    retries: tuple[Retry, ...] = field(default=(), repr=False)
    """Its record of units that were done again."""


def merges_of(directory: RunDirectory, config: ShardsConfig, *, everything: bool = False) -> list[Merge]:
    """The merges of a run's small shards, each as large as the bounds allow.

    A shard that has half of what one may have is not small. Small ones that together fill none stay, so that nothing is
    merged twice.

    Args:
        directory: the run's.
        config: bounds of the large shards.
        everything: merge what is left too, into a shard that is not full.

    Raises:
        ConfigError: a shard's index is damaged.
    """
    committed = shards_of(directory)
    small = [shard for shard in committed if not _is_beyond(config, shard, shard)]
    groups = list(_groups(small, config))
    if groups and not everything:
        groups.pop()
    records = directory.retries.of(
        [shard for shard in directory.retries.shards_with_records() if shard in {each.name for each in committed}]
    )
    return [_merge(group, records) for group in groups if len(group) > 1]


def shards_of(directory: RunDirectory) -> list[Shard]:
    """The committed shards, by name."""
    tars = file_sizes(directory.shards, ".tar")
    counts: dict[str, tuple[int, int]] = {}
    table = directory.index(["shard", "kept"])
    if table.num_rows:
        kept = pc.fill_null(table["kept"], fill_value=False).cast("int64")
        totals = table.set_column(table.column_names.index("kept"), "kept", kept).group_by("shard")
        totals = totals.aggregate([("kept", "sum"), ("kept", "count")])
        columns = (totals[name].to_pylist() for name in ("shard", "kept_sum", "kept_count"))
        counts = {shard: (samples, rows) for shard, samples, rows in zip(*columns, strict=True)}
    return [
        Shard(
            name=name,
            num_samples=counts.get(name, (0, 0))[0],
            num_rows=counts.get(name, (0, 0))[1],
            num_bytes=tars.get(f"{name}.tar", 0),
        )
        for name in directory.names()
    ]


def _groups(small: Sequence[Shard], config: ShardsConfig) -> Iterator[list[Shard]]:
    """Shards that fit into one, in the order of their names, which is a random one; the last may not be full."""
    group: list[Shard] = []
    for shard in small:
        if _is_beyond(config, *group, shard):
            yield group
            group = []
        group.append(shard)
    yield group


def _is_beyond(config: ShardsConfig, *shards: Shard) -> bool:
    """Whether shards have more together than one may have."""
    return (
        sum(shard.num_samples for shard in shards) > config.max_samples
        or sum(shard.num_bytes for shard in shards) > config.max_bytes
        or sum(shard.num_rows for shard in shards) > ROWS_PER_SAMPLE * config.max_samples
    )


def _merge(group: Sequence[Shard], records: Mapping[str, Sequence[Retry]]) -> Merge:
    shards = tuple(shard.name for shard in group)
    retries = merged(records, shards)
    # A shard of the same parts that says something else is another one.
    parts = (*shards, *(f"{retry.unit} {retry.replaces} {retry.has_failed}" for retry in retries))
    digest = hashlib.sha256("|".join(("merged", *parts)).encode()).hexdigest()[:16]
    return Merge(
        name=f"soul-{digest}",
        shards=shards,
        num_samples=sum(shard.num_samples for shard in group),
        num_bytes=sum(shard.num_bytes for shard in group),
        retries=retries,
    )
