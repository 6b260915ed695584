"""A unit that was in quarantine and is done again has one result, whatever a run is interrupted at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.clip.schema import Source
from curation.decisions.applying import units_to_compute
from curation.encoding.curated_clips import kept_clips
from curation.planning import PlanningConfig, plan_units
from curation.push.index import Index
from curation.report.summary import summarise
from curation.shards import retries, run_directory
from curation.shards.done_units import DONE_COLUMNS, Done
from curation.shards.failed_units import FailedUnits
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import SCHEMA, Version, VersionInfo
from infra.config import ConfigError
from infra.storage import commits
from infra.storage.files import list_files, write_atomically
from infra.storage.index_parts import parts_of
from tests.curation.test_planning import Reader
from tests.worlds.killed_steps import KilledError, killed_at
from tests.worlds.synthetic_run import clip, export, source, write_run

BROKEN, WORSE, GOOD = (f"s3://in/{name}.mp4" for name in ("broken", "worse", "good"))
WRITERS = (retries, run_directory, commits)
NUM_STEPS = 6
"""Writes and removals: the session, a quarantine file, the tar, the record, the index, and the file of what is well."""


def failed(uri: str, rule: str = "unreadable", **changes: Any) -> Source:
    return replace(Source(uri=uri, num_segments=1), **changes).fail("probe", rule, rule)


def whole(uri: str, **changes: Any) -> Source:
    unit = source(uri, 1280, 720, 10.0, num_segments=1, **changes)
    return replace(unit, clips=(export(clip(unit, 0)), clip(unit, 1).reject("split", "too_short", 1.0, 2.0)))


def first_run(run: str) -> str:
    """A run with a source that is well and two that failed; gives its shard."""
    (shard,) = write_run(run, [whole(GOOD), failed(BROKEN), failed(WORSE)])
    return shard


def second_run(run: str, old: str) -> list[str]:
    """One of them is well now, the other fails otherwise, and a further source is in the same shard."""
    units = [whole(BROKEN, replaces=old), failed(WORSE, "missing", replaces=old), whole("s3://in/new.mp4")]
    return write_run(run, units, session="two")


def seen(run: str) -> dict[str, Any]:
    """What readers make of the run; it raises where a unit has two results."""
    directory = RunDirectory(run)
    rows = directory.index(["key", "source", "shard", "reject_rule"]).to_pylist()
    by_shard = [row["key"] for name in directory.names() for row in directory.rows_of(name, ["key"]).to_pylist()]
    assert sorted(by_shard) == sorted(row["key"] for row in rows)
    assert len(set(by_shard)) == len(by_shard)
    kept = [each.key for name in directory.names() for each in kept_clips(directory, name)]
    Done.of(directory.index(DONE_COLUMNS), run)
    Index.read(directory, thumbnails=True).file_of(directory.names()[0])
    return {
        "units": directory.committed(),
        "rows": sorted((row["source"], row["key"], row["reject_rule"]) for row in rows),
        "kept": sorted(kept),
        "in_quarantine": sorted(directory.quarantined()),
        "rules": FailedUnits.of(directory).counts,
        "num_failed": summarise(run).num_failed,
    }


def test_a_run_that_is_killed_at_any_step_leaves_one_result_a_unit(run_at: Callable[[str], str]) -> None:
    first_run(run_at("before"))
    old = seen(run_at("before"))
    second_run(run_at("after"), first_run(run_at("after")))
    new = seen(run_at("after"))
    assert old["rules"] == {"probe/unreadable": 2}
    assert (new["rules"], new["num_failed"], len(new["kept"])) == ({"probe/missing": 1}, 1, 3)
    assert old["units"] < new["units"]
    found = []
    step = 0
    while True:
        run = run_at(f"killed-{step}")
        shard = first_run(run)
        with killed_at(step, WRITERS) as done:
            try:
                second_run(run, shard)
            except KilledError:
                pass
            else:
                break
        found.append(seen(run))
        second_run(run, shard)
        assert seen(run) == new, done
        assert list_files(RunDirectory(run).quarantine) == [f"{failed(WORSE).key}.json"]
        step += 1
    # All counts once the index is there; only the removal comes after that.
    assert found == [old] * (step - 1) + [new]
    assert step == NUM_STEPS


def test_opening_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    run = str(tmp_path)
    (new,) = second_run(run, first_run(run))
    broken = failed(BROKEN)
    never, left = tmp_path / "shards/_retried/soul-never.json", tmp_path / "quarantine" / f"{broken.key}.json"
    never.write_text(json.dumps([{"unit": failed(WORSE).key, "replaces": new, "has_failed": False}]))
    write_atomically(str(left), b"{}")
    before = seen(run)
    assert before["in_quarantine"] == [failed(WORSE).key]
    assert RunDirectory(run).open_session("three") == 2
    assert not never.exists()
    assert not left.exists()
    assert seen(run) == before


def test_a_shard_is_named_after_what_it_replaces(tmp_path: Path) -> None:
    run = str(tmp_path)
    names = write_run(run, [failed(BROKEN)])
    for _ in range(3):
        again = failed(BROKEN, replaces=names[-1])
        names += write_run(run, [again])
        assert write_run(run, [again]) == names[-1:], "a repeated attempt"
    assert len(set(names)) == 4
    assert write_run(run, [whole(BROKEN, replaces=names[-1])])[0] not in names
    assert RunDirectory(run).quarantined() == {}
    assert [row["shard"] in names for row in RunDirectory(run).index(["shard"]).to_pylist()] == [False, False]


def test_in_parts_of_the_index_old_rows_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "TAIL_COMMITS", 2)
    run = str(tmp_path)
    old = first_run(run)
    write_run(run, [whole("s3://in/more.mp4")])
    RunDirectory(run).open_session("two")
    kept = RunDirectory(run).remembering()
    assert parts_of(kept.shards)
    before = kept.index(["key"])["key"].to_pylist()
    second_run(run, old)
    answer = seen(run)
    RunDirectory(run).open_session("three")
    assert seen(run) == answer
    assert sorted(kept.index(["key"])["key"].to_pylist()) == sorted(key for _, key, _ in answer["rows"])
    assert failed(BROKEN).key in before
    assert failed(BROKEN).key not in kept.index(["key"])["key"].to_pylist()


def test_a_version_shows_what_was_mended_when_it_is_made_again(tmp_path: Path) -> None:
    run = str(tmp_path)
    old = first_run(run)

    def decide() -> None:
        rows = RunDirectory(run).index(SCHEMA.names).to_pylist()
        table = pa.Table.from_pylist([{**row, "state": "kept"} for row in rows], schema=SCHEMA)
        info = VersionInfo(config_hash="v", settings={}, changes={}, written="", counts={})
        Version(run, "v").write(table, info)

    decide()
    (new,) = second_run(run, old)
    keys = Version(run, "v").index(["key"])["key"].to_pylist()
    assert sorted(keys) == sorted([*(each.key for each in whole(GOOD).clips), failed(WORSE).key])
    assert Version(run, "v").newer_shards() == [new]
    decide()
    keys = Version(run, "v").index(["key"])["key"].to_pylist()
    assert sorted(keys) == sorted(key for _, key, _ in seen(run)["rows"])
    assert Version(run, "v").newer_shards() == []


def planned(run: str, reader: Reader, rule: str | None = None) -> list[Source]:
    directory = RunDirectory(run)
    again = FailedUnits.of(directory).by(rule) if rule else {}
    done = Done.of(directory.index(DONE_COLUMNS), run, again)
    return list(plan_units([Source(uri=BROKEN)], done, PlanningConfig(max_segment_s=3), read=reader).units)


def test_a_source_that_failed_as_a_whole_is_cut_anew(tmp_path: Path) -> None:
    run = str(tmp_path)
    (old,) = write_run(run, [failed(BROKEN)])
    assert planned(run, Reader(broken=7.0)) == []
    units = planned(run, Reader(broken=7.0), "all")
    assert [(unit.segment, unit.num_segments, unit.replaces) for unit in units] == [
        (0, 3, old), (1, 3, None), (2, 3, None)
    ]  # fmt: skip
    # The second one is committed, and the run ends: the others are done without being asked for once more.
    write_run(run, [units[1].fail("scenes", "undecodable", "")])
    assert planned(run, Reader(broken=7.0)) == [units[0], units[2]]
    write_run(run, [units[0].fail("scenes", "undecodable", "")])
    assert planned(run, Reader(broken=7.0)) == [units[2]]
    rows = RunDirectory(run).index(["source_key", "reject_rule"]).to_pylist()
    assert {row["source_key"]: row["reject_rule"] for row in rows} == dict.fromkeys(
        [units[0].key, units[1].key], "undecodable"
    )
    # A part of a source is cut as it was.
    write_run(run, [units[2].reject("scenes", "empty")])
    again = planned(run, Reader(broken=20.0), "scenes/undecodable")
    assert [(unit.segment, unit.num_segments) for unit in again] == [(0, 3), (1, 3)]
    assert all(unit.replaces for unit in again)


def test_all_parts_of_a_source_are_cut_as_they_were(tmp_path: Path) -> None:
    run = str(tmp_path)
    write_run(run, [failed(BROKEN, segment=segment, num_segments=3) for segment in range(3)])
    assert [unit.num_segments for unit in planned(run, Reader(broken=60.0), "all")] == [3, 3, 3]


def test_rules_are_named_where_one_is_not_there(tmp_path: Path) -> None:
    run = str(tmp_path)
    first_run(run)
    found = FailedUnits.of(RunDirectory(run))
    assert set(found.by("probe/unreadable")) == set(found.by("all")) == {failed(BROKEN).key, failed(WORSE).key}
    with pytest.raises(ConfigError, match=r"^--retry split/too_short: .*; there are probe/unreadable \(2\)$"):
        found.by("split/too_short")
    with pytest.raises(ConfigError, match="nothing is in quarantine"):
        FailedUnits.of(RunDirectory(str(tmp_path / "none"))).by("probe/missing")


def test_what_failed_for_a_version_is_computed_for_it_once_more(tmp_path: Path) -> None:
    run = str(tmp_path)
    write_run(run, [whole(GOOD)])
    rows = RunDirectory(run).index(SCHEMA.names).to_pylist()
    table = pa.Table.from_pylist([{**row, "state": "to_compute"} for row in rows], schema=SCHEMA)
    version = Version(run, "v")
    version.write(table, VersionInfo(config_hash="v", settings={}, changes={}, written="", counts={}))
    write_run(version.run, [failed(GOOD, wanted=version.work()[failed(GOOD).key].wanted)])
    version = Version(run, "v")
    assert version.work() == {}
    again = FailedUnits.of(version.own).by("all")
    (unit,) = units_to_compute(version, [Source(uri=GOOD, num_segments=1)], again)
    assert (unit.wanted, unit.replaces) == (frozenset(each.key for each in whole(GOOD).clips), again[unit.key])
    write_run(version.run, [whole(GOOD, wanted=unit.wanted, replaces=unit.replaces)])
    version = Version(run, "v")
    assert version.index(["key"])["key"].to_pylist() == [each.key for each in whole(GOOD).clips]
    assert (version.work(), version.quarantined()) == ({}, {})
