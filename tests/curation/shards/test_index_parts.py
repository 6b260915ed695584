"""Whoever reads the index of a run reads the same, with and without its compacted parts, and once in one command."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.browse.collection import open_collection
from curation.clip.schema import Source
from curation.encoding.config import EncodeConfig
from curation.encoding.job import EncodeJob
from curation.job import CurationJob
from curation.pipeline import CurationConfig
from curation.report import write_report, write_report_of
from curation.report.summary import summarise, summarise_directory
from curation.shards.clip_table import COLUMNS, open_run, read_clips, read_scored_clips
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import SCHEMA, Version, VersionInfo
from infra.config import build, load_section
from infra.storage import commits
from infra.storage.files import read_bytes
from infra.storage.index_parts import parts_of
from tests.worlds.synthetic_run import sources, write_run


def units(number: int) -> list[Source]:
    """The five units of the synthetic run, under names of their own."""
    found = []
    for unit in sources():
        moved = replace(unit, uri=f"{unit.uri}-{number}")
        clips = tuple(
            replace(clip, key=moved.clip_key(index), source=moved.uri, parent_key=clip.parent_key and moved.clip_key(0))
            for index, clip in enumerate(unit.clips)
        )
        found.append(replace(moved, clips=clips))
    return found


def write_commits(run: str, numbers: range) -> None:
    for number in numbers:
        write_run(run, units(number))


@pytest.fixture
def run(tmp_path: Path) -> str:
    write_commits(str(tmp_path), range(12))
    return str(tmp_path)


def answers(run: str) -> list[Any]:
    """What commands make of a run."""
    directory = RunDirectory(run)
    page = read_bytes(write_report(run)).decode()
    names = [name for name in COLUMNS if name != "thumbnail"]
    return [
        directory.committed(),
        read_clips(directory, names).to_pylist(),
        read_scored_clips(directory, without={"thumbnail"}).to_pylist(),
        open_collection(run, lambda _done, _of: None).table.to_pylist(),
        summarise(run),
        re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", page),
    ]


def test_with_parts_a_run_is_what_it_is_without(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = answers(run)
    assert not parts_of(f"{run}/shards")
    monkeypatch.setattr(commits, "TAIL_COMMITS", 4)
    job = CurationJob(run=run, config=load_section(CurationConfig, "local", "curation", []), session="one")
    job.tidy()
    assert parts_of(f"{run}/shards")
    assert answers(run) == before
    assert 'src="data:image/jpeg;base64,' in before[-1], "thumbnails are read from the shards"


def test_a_rows_shard_is_found_by_its_key(run: str) -> None:
    directory = RunDirectory(run)
    rows = read_clips(directory, ("key", "shard")).to_pylist()
    wanted = {row["key"]: row["shard"] for row in rows[::7]}
    assert directory.shards_of([*wanted, "nobody"]) == wanted
    assert directory.shards_of(["nobody"]) == {}


def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Counts how often each column of each commit is read of the index."""
    seen: Counter[tuple[str, str]] = Counter()
    real: Callable[..., pa.Table] = RunDirectory._rows

    def spy(self: RunDirectory, sizes: Mapping[str, int], columns: Sequence[str] | None, **options: Any) -> pa.Table:
        assert columns is not None
        if options.get("where") is None:
            seen.update((name, column) for name in sizes for column in columns if column != "shard")
        return real(self, sizes, columns, **options)

    monkeypatch.setattr(RunDirectory, "_rows", spy)
    return seen


def test_one_command_reads_each_column_of_a_commit_once(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = reads(monkeypatch)
    clips = open_run(run).remembering()
    clips.committed()
    before = summarise_directory(clips)
    write_commits(run, range(12, 15))
    after = summarise_directory(clips)
    assert (before.num_units, after.num_units) == (60, 75)
    write_report_of(clips)
    assert set(seen.values()) == {1}
    assert after == summarise(run)


def test_a_version_is_read_as_its_shards_are(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = RunDirectory(run).index(SCHEMA.names)
    kept = [bool(value) and number % 3 > 0 for number, value in enumerate(table["kept"].to_pylist())]
    rows = {name: table[name] if name in table.column_names else pa.nulls(len(kept)) for name in SCHEMA.names}
    state = ["kept" if value else "rejected" for value in kept]
    version = Version(run, "strict")
    info = VersionInfo(config_hash="abc", settings={}, changes={}, written="now", counts={})
    version.write(pa.table(rows | {"kept": kept, "state": state, "is_heard": [False] * len(kept)}), info)
    # A unit is computed anew for the version, and the run gets another shard that the version has not seen.
    write_run(version.run, [units(3)[0]])
    write_commits(run, range(12, 13))
    monkeypatch.setattr(commits, "TAIL_COMMITS", 4)
    RunDirectory(run).tidy("one")
    version = Version(run, "strict")
    columns = ["key", "kept", "config_hash", "source", "caption_brief"]
    by_shard = [version.rows_of(name, columns).to_pylist() for name in version.names()]
    found = version.index(columns).to_pylist()
    assert found == [row for rows in by_shard for row in rows]
    assert len(found) == len(kept)
    assert len({row["key"] for row in found}) == len(found)
    assert {row["config_hash"] for row in found} == {"abc", "c0ffee"}
    assert sum(row["kept"] for row in found) == sum(kept) + sum(
        clip.kept and not kept[table["key"].to_pylist().index(clip.key)] for clip in units(3)[0].clips
    )
    assert version.newer_shards() == sorted(set(RunDirectory(run).names()) - set(table["shard"].to_pylist()))
    assert version.remembering().index(columns).to_pylist() == found


def test_clips_to_encode_are_counted_from_the_index(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job = EncodeJob(run=run, stage="720p", model="tiny", config=build(EncodeConfig, {}, "test"))
    some = job.pending()[:5]
    opened: list[str] = []
    monkeypatch.setattr(RunDirectory, "rows_of", lambda _self, name, *_: opened.append(name))
    assert job.num_clips(some) == 5 * 5
    assert job.num_clips(job.pending()) == 12 * 5
    assert job.num_clips([]) == 0
    assert not opened
