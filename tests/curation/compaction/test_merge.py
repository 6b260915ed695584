"""Merging small shards: whatever it is interrupted at, and whoever reads meanwhile, every clip is there once."""

from __future__ import annotations

import itertools
import shutil
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.clip.schema import Source
from curation.compaction import merge as merging
from curation.compaction.job import CompactionJob
from curation.compaction.plan import merges_of
from curation.encoding.curated_clips import kept_clips, open_shard
from curation.shards import retries
from curation.shards.failed_units import FailedUnits
from curation.shards.run_directory import RunDirectory, ShardsConfig
from curation.shards.versions import SCHEMA, Version, VersionInfo
from infra.config import ConfigError
from infra.jobs import notes
from infra.jobs.engine import run_inline
from infra.jobs.progress import Progress
from infra.storage import commits, merges
from infra.storage.commits import TakenOverError
from infra.storage.files import join, list_files, remove, write_atomically
from infra.storage.index_parts import commits_of, parts_of
from tests.curation.compaction.test_plan import unit
from tests.worlds.killed_steps import KilledError, killed_at
from tests.worlds.merged_run import merge_shards
from tests.worlds.synthetic_run import write_run

BROKEN, WORSE = "s3://in/broken.mp4", "s3://in/worse.mp4"
WRITERS = (merging, merges, retries, commits)


def failed(uri: str, **changes: Any) -> Source:
    return replace(Source(uri=uri, num_segments=1), **changes).fail("probe", "unreadable", "broken")


def make(run: str) -> None:
    """Ten shards: of clips, of rows alone, and of units that failed and were done again."""
    for number in range(5):
        write_run(run, [unit(number, kept=1 + number % 2, num_bytes=100 + number)])
    write_run(run, [unit(5, kept=0)])
    for uri in (BROKEN, WORSE):
        (old,) = write_run(run, [failed(uri)])
        well = replace(unit(7), uri=uri) if uri == BROKEN else failed(uri)
        write_run(run, [replace(well, replaces=old, clips=tuple(replace(c, source=uri) for c in well.clips))])


def seen(run: str) -> dict[str, Any]:
    """What readers make of the run, without the names of shards; it raises where something is there twice or not."""
    directory = RunDirectory(run)
    rows = directory.index(["key", "source", "source_key", "kept", "reject_rule"])
    shards = directory.names()
    by_shard = [row for name in shards for row in directory.rows_of(name, rows.column_names).to_pylist()]
    found = sorted(rows.to_pylist(), key=str)
    assert found == sorted(by_shard, key=str)
    assert len({row["key"] for row in found}) == len(found)
    samples = {}
    for name in shards:
        for kept in kept_clips(directory, name):
            samples[kept.key] = directory.sample(name, kept.key)
            assert samples[kept.key]
    assert directory.shards_of(samples).keys() == samples.keys()
    return {
        "rows": found,
        "samples": samples,
        "units": directory.committed(),
        "quarantine": sorted(directory.quarantined()),
        "rules": FailedUnits.of(directory).counts,
        "thumbnails": sorted(
            bytes(picture) for name in shards for picture in directory.rows_of(name, ["thumbnail"])[0].to_pylist()
            if picture
        ),
    }  # fmt: skip


def test_a_merge_that_is_killed_at_any_step_is_finished_by_the_next(tmp_path: Path) -> None:
    config, made = ShardsConfig(max_samples=3), tmp_path / "made"
    make(str(made))
    expected = seen(str(made))
    for step in itertools.count():
        run = str(tmp_path / "killed")
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(made, run)
        with killed_at(step, WRITERS) as done:
            try:
                merge_shards(run, config)
            except KilledError:
                finished = False
            else:
                finished = True
        assert seen(run) == expected, done[-3:]
        # What is left over is told by every session, also by one that merges nothing.
        RunDirectory(run).open_session("next")
        assert seen(run) == expected, done[-3:]
        names = set(RunDirectory(run).names())
        left = {name.partition(".")[0] for name in list_files(join(run, "shards")) if not name.startswith("_")}
        assert left == names, "nothing is left over"
        assert set(RunDirectory(run).retries.shards_with_records()) <= names
        merge_shards(run, config)
        assert seen(run) == expected, done[-3:]
        assert len(RunDirectory(run).names()) < 6
        if finished:
            assert step > 15
            return


def test_a_reader_sees_every_clip_once_at_any_moment(run_at: Callable[[str], str]) -> None:
    run = run_at("read")
    make(run)
    expected, steps = seen(run), itertools.count()

    def look() -> None:
        if not run.startswith("s3") or next(steps) % 6 == 3:
            assert seen(run) == expected

    with killed_at(None, WRITERS, told=look) as done:
        merge_shards(run, ShardsConfig(max_samples=3))
    assert len(done) > 15
    assert seen(run) == expected


def test_a_sample_is_found_by_the_name_that_its_shard_had(tmp_path: Path) -> None:
    run = str(tmp_path)
    make(run)
    directory = RunDirectory(run)
    before = {key: shard for shard in directory.names() for key in (clip.key for clip in kept_clips(directory, shard))}
    samples = {key: directory.sample(shard, key) for key, shard in before.items()}
    merge_shards(run)
    assert {key: directory.sample(shard, key) for key, shard in before.items()} == samples
    assert directory.sample(next(iter(before.values())), "no-such-key") == {}


def test_samples_stand_together_and_the_index_follows_them(tmp_path: Path) -> None:
    make(str(tmp_path))
    progress = merge_shards(str(tmp_path), ShardsConfig())
    (tar,) = (tmp_path / "shards").glob("*.tar")
    directory = RunDirectory(str(tmp_path))
    (name,) = directory.names()
    assert tar.stem == name
    with tarfile.open(tar) as file:
        names = file.getnames()
    keys = [key for key, _ in itertools.groupby(names, key=lambda member: member.partition(".")[0])]
    assert len(keys) == len(set(keys)), "a sample's files stand together"
    assert keys == [clip.key for clip in kept_clips(directory, name)]
    assert (progress.units, progress.clips, progress.kept) == (1, len(keys), len(keys))
    with open_shard(directory, name) as reader, reader.unpack(keys[:1]) as files:
        assert isinstance(files[keys[0]], object)
    assert merges_of(directory, ShardsConfig(), everything=True) == []


def test_units_that_are_done_again_after_a_merge_replace_their_rows_there(run_at: Callable[[str], str]) -> None:
    run = run_at("again")
    make(run)
    merge_shards(run, ShardsConfig())
    before = seen(run)
    (shard,) = RunDirectory(run).names()
    assert before["rules"] == {"probe/unreadable": 1}
    assert FailedUnits.of(RunDirectory(run)).units[failed(WORSE).key].shard == shard
    well = unit(9)
    well = replace(well, uri=WORSE, replaces=shard, clips=tuple(replace(c, source=WORSE) for c in well.clips))
    write_run(run, [well], session="two")
    after = seen(run)
    assert (after["rules"], after["quarantine"]) == ({}, [])
    assert after["units"] == before["units"]
    merge_shards(run, ShardsConfig())
    assert len(RunDirectory(run).names()) == 1
    assert seen(run) == after
    # It fails again later, which the merged record must not hide.
    write_run(run, [failed(WORSE, replaces=RunDirectory(run).names()[0])], session="three")
    worse = seen(run)
    assert worse["rules"] == {"probe/unreadable": 1}
    for config in (ShardsConfig(), ShardsConfig()):
        merge_shards(run, config)
        assert seen(run) == worse


def test_a_unit_that_was_done_three_times_has_one_row_whatever_is_merged(tmp_path: Path) -> None:
    made = str(tmp_path / "made")
    shards = write_run(made, [failed(BROKEN)])
    for _ in range(2):
        shards += write_run(made, [failed(BROKEN, replaces=shards[-1])])
    well = replace(unit(1), uri=BROKEN, replaces=shards[-1])
    shards += write_run(made, [replace(well, clips=tuple(replace(c, source=BROKEN) for c in well.clips))])
    expected = seen(made)
    assert expected["quarantine"] == []
    for number, chosen in enumerate(itertools.combinations(shards, 2)):
        run = str(tmp_path / f"{number}")
        shutil.copytree(made, run)
        directory = RunDirectory(run)
        directory.open_session("merge")
        records = directory.retries.of([s for s in directory.retries.shards_with_records() if s in shards])
        parts = tuple(sorted(chosen))
        merge = replace(
            merges_of(directory, ShardsConfig(), everything=True)[0],
            name=f"soul-{number}", shards=parts, retries=retries.merged(records, parts),
        )  # fmt: skip
        directory.merges.announce({merge.name: parts})
        rows = merging.write_merged(directory, merge, lambda: None)
        merging.commit_merged(directory, merge, rows, "merge")
        assert seen(run) == expected, chosen
        merge_shards(run, ShardsConfig())
        assert seen(run) == expected, chosen


def test_a_version_of_before_shows_the_same_afterwards(tmp_path: Path) -> None:
    run = str(tmp_path)
    make(run)
    rows = RunDirectory(run).index(SCHEMA.names).to_pylist()
    dropped = next(row["key"] for row in rows if row["kept"])
    state = {True: "kept", False: "rejected"}
    decided = [{**row, "kept": row["kept"] and row["key"] != dropped} for row in rows]
    table = pa.Table.from_pylist([{**row, "state": state[row["kept"]]} for row in decided], schema=SCHEMA)
    Version(run, "fewer").write(
        table, VersionInfo(config_hash="v", settings={}, changes={}, written="", counts={}, of=None)
    )

    def shown() -> tuple[list[Any], dict[str, Any], list[str]]:
        version = Version.existing(run, "fewer")
        columns = ["key", "kept", "source", "config_hash"]
        index = sorted(version.index(columns).to_pylist(), key=str)
        by_shard = [row for name in version.names() for row in version.rows_of(name, columns).to_pylist()]
        assert sorted(by_shard, key=str) == index
        kept = {
            clip.key: version.sample(name, clip.key) for name in version.names() for clip in kept_clips(version, name)
        }
        return index, kept, version.newer_shards()

    before = shown()
    assert dropped not in before[1]
    assert all(before[1].values())
    merge_shards(run, ShardsConfig(max_samples=3))
    assert shown() == before
    write_run(run, [unit(8)], session="more")
    merge_shards(run)
    assert len(RunDirectory(run).names()) == 1
    index, kept, newer = shown()
    assert (index, kept) == before[:2]
    assert newer == RunDirectory(run).names()


def test_a_damaged_shard_keeps_its_group_as_it_is(tmp_path: Path) -> None:
    make(str(tmp_path))
    directory, heard = RunDirectory(str(tmp_path)), list[str]()
    tars = sorted((tmp_path / "shards").glob("*.tar"))
    before = directory.names()
    for damage, words in (
        (lambda data: data[: len(data) // 3], "is damaged"),
        (lambda _: b"", "is damaged"),
        (None, "is missing"),
    ):  # fmt: skip
        data = tars[2].read_bytes()
        if damage is None:
            tars[2].unlink()
        else:
            tars[2].write_bytes(damage(data))
        progress: list[Progress] = []
        job = CompactionJob(run=str(tmp_path), merges=tuple(merges_of(directory, ShardsConfig(), everything=True)))
        run_inline(job.units, job, progress.append)
        heard = progress[-1].notes
        assert any(f"{tars[2]} {words}" in line and "10 small shards stay as they are" in line for line in heard), heard
        assert (progress[-1].kept, progress[-1].commits, progress[-1].num_bytes) == (0, 0, 0)
        assert directory.names() == before
        assert not list((tmp_path / "shards").glob(".soul-*"))
        tars[2].write_bytes(data)
    merge_shards(str(tmp_path), ShardsConfig())
    assert len(directory.names()) == 1


def test_shards_and_bytes_that_merges_make_are_counted(tmp_path: Path) -> None:
    make(str(tmp_path))
    merges = merges_of(RunDirectory(str(tmp_path)), ShardsConfig(max_samples=3), everything=True)
    job = CompactionJob(run=str(tmp_path), merges=tuple(merges))
    told: list[Progress] = []
    run_inline(job.units, job, told.append)
    assert told[-1].commits == len(merges) > 1
    assert told[-1].num_bytes == sum(merge.num_bytes for merge in merges) > 0


def test_a_shard_that_went_meanwhile_ends_nothing(tmp_path: Path) -> None:
    make(str(tmp_path))
    directory = RunDirectory(str(tmp_path))
    job = CompactionJob(run=str(tmp_path), merges=tuple(merges_of(directory, ShardsConfig(max_samples=3))))
    gone = job.merges[0].shards[0]
    remove(join(directory.shards, f"{gone}.parquet"))
    told: list[Progress] = []
    run_inline(job.units, job, told.append)
    assert told[-1].units == len(job.merges)
    assert any(gone in line for line in told[-1].notes)
    assert set(job.merges[0].shards[1:]) <= set(directory.names())


def test_another_session_ends_a_merge_before_its_commit(tmp_path: Path) -> None:
    make(str(tmp_path))
    expected, directory = seen(str(tmp_path)), RunDirectory(str(tmp_path))
    job = CompactionJob(run=str(tmp_path), merges=tuple(merges_of(directory, ShardsConfig(), everything=True)))
    job.open()
    unit_ = job.worker(job.stages, debug=True).run(job.units[0], lambda: None)
    write_atomically(join(directory.shards, "_session"), b"other")
    with pytest.raises(TakenOverError):
        job.commit([unit_])
    assert seen(str(tmp_path)) == expected


def test_the_index_of_large_shards_is_in_parts_at_once_and_old_parts_go(
    run_at: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "TAIL_COMMITS", 4)
    monkeypatch.setattr(commits, "SMALL_BYTES", 1000)
    run = run_at("parts")
    make(run)
    directory = RunDirectory(run)
    directory.open_session("parts")
    small = {name for part in parts_of(directory.shards) for name in commits_of(part) or ()}
    assert small == set(directory.names())
    expected = seen(run)
    merge_shards(run, ShardsConfig(max_samples=3))
    covered = [commits_of(part) or frozenset() for part in parts_of(directory.shards)]
    assert frozenset().union(*covered) == set(directory.names())
    assert sum(map(len, covered)) == len(directory.names())
    assert seen(run) == expected


def test_a_part_that_keeps_some_of_its_commits_loses_the_others_with_the_next_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "TAIL_COMMITS", 4)
    run = str(tmp_path)
    make(run)
    directory = RunDirectory(run)
    directory.open_session("parts")
    gone, names = min(commits_of(parts_of(directory.shards)[0]) or ()), directory.names()
    remove(join(directory.shards, f"{gone}.parquet"))
    directory.tidy("parts")
    assert any(gone in (commits_of(part) or ()) for part in parts_of(directory.shards)), "not worth it by itself"
    directory.open_session("next")
    covered = frozenset().union(*(commits_of(part) or frozenset() for part in parts_of(directory.shards)))
    # It might be made again, with other rows.
    assert gone not in covered
    assert covered < set(names)


def test_journals_are_put_away_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(str(tmp_path))
    small = set(RunDirectory(str(tmp_path)).names())
    merge_shards(str(tmp_path), ShardsConfig())
    journals = tmp_path / "shards" / "_merges"
    RunDirectory(str(tmp_path)).open_session("soon")
    assert len(list(journals.iterdir())) == 1
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + merges.KEPT_S + 2)
    RunDirectory(str(tmp_path)).open_session("later")
    assert not list(journals.iterdir())
    assert RunDirectory(str(tmp_path)).merges.former() == small


def test_a_damaged_journal_is_one_line(tmp_path: Path) -> None:
    make(str(tmp_path))
    write_atomically(str(tmp_path / "shards/_merges/1-a.json"), b"{")
    with pytest.raises(ConfigError, match=r"_merges/1-a\.json is damaged"):
        RunDirectory(str(tmp_path)).names()
    notes.listen(None)
