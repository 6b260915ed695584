"""Which small shards become large ones: by bytes, samples and rows, each shard once and none again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curation.clip.schema import Source
from curation.compaction.plan import Merge, Shard, merges_of, shards_of
from curation.shards.run_directory import RunDirectory, ShardsConfig
from tests.worlds.synthetic_run import clip, export, source, write_run

MB = 1_000_000


def unit(number: int, *, kept: int = 1, rejected: int = 1, num_bytes: int = 100) -> Source:
    whole = source(f"s3://in/{number:03d}.mp4", 1280, 720, 60.0)
    clips = []
    for index in range(kept):
        made = export(clip(whole, index))
        assert made.payload is not None
        clips.append(replace(made, payload=replace(made.payload, mp4=b"v" * num_bytes)))
    clips += [clip(whole, kept + index).reject("split", "too_short", 1.0) for index in range(rejected)]
    return replace(whole, clips=tuple(clips))


def written(run: Path, units: list[Source]) -> RunDirectory:
    """Each in a shard of its own."""
    for each in units:
        write_run(str(run), [each])
    return RunDirectory(str(run))


def sizes(merges: list[Merge]) -> list[int]:
    return [len(merge.shards) for merge in merges]


def test_what_a_shard_has_is_counted(tmp_path: Path) -> None:
    directory = written(tmp_path, [unit(0, kept=2), unit(1, kept=0, rejected=3)])
    found = sorted(shards_of(directory), key=lambda shard: shard.num_samples)
    tar = next(iter((tmp_path / "shards").glob("*.tar")))
    assert found == [
        Shard(name=found[0].name, num_samples=0, num_rows=3, num_bytes=0),
        Shard(name=tar.stem, num_samples=2, num_rows=3, num_bytes=tar.stat().st_size),
    ]


def test_a_new_run_has_nothing_to_merge(tmp_path: Path) -> None:
    assert merges_of(RunDirectory(str(tmp_path)), ShardsConfig(), everything=True) == []


@pytest.mark.parametrize(
    ("bounds", "most"),
    [({"max_samples": 5}, 5), ({"max_bytes": 3 * MB}, 2), ({"max_samples": 1}, 1)],
)
def test_shards_are_merged_up_to_what_one_may_have(tmp_path: Path, bounds: dict[str, Any], most: int) -> None:
    directory = written(tmp_path, [unit(number, num_bytes=MB + 1000) for number in range(12)])
    config = replace(ShardsConfig(), **bounds)
    merges = merges_of(directory, config)
    everything = merges_of(directory, config, everything=True)
    if most == 1:
        assert merges == everything == []
        return
    full, rest = divmod(12, most)
    # The last group never counts as full: nothing came after it that would not fit.
    assert sizes(merges) == [most] * (full if rest else full - 1)
    assert sizes(everything) == [most] * full + [rest] * (rest > 1)
    assert everything[: len(merges)] == merges
    names = [name for merge in everything for name in merge.shards]
    assert len(set(names)) == len(names)
    assert all(merge.num_bytes <= config.max_bytes and merge.num_samples <= config.max_samples for merge in everything)
    assert [merge.name for merge in merges_of(directory, config)] == [merge.name for merge in merges], "the same names"


def test_rows_alone_fill_a_shard_too(tmp_path: Path) -> None:
    directory = written(tmp_path, [unit(number, kept=0, rejected=9) for number in range(5)])
    assert sizes(merges_of(directory, ShardsConfig(max_samples=1))) == [2, 2]
    assert sizes(merges_of(directory, ShardsConfig(max_samples=2), everything=True)) == [4]


def test_a_shard_that_is_half_full_stays(tmp_path: Path) -> None:
    directory = written(tmp_path, [unit(0, kept=6), *(unit(number) for number in range(1, 6)), unit(6, kept=5)])
    (merge,) = merges_of(directory, ShardsConfig(max_samples=10), everything=True)
    large = max(shards_of(directory), key=lambda shard: shard.num_samples)
    assert len(merge.shards) == 6
    assert large.name not in merge.shards
