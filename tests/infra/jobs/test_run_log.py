"""The log of a run: written by its driver, found again by a unit's key."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import s3fs

from infra.jobs import record as record_module
from infra.jobs import run_log
from infra.jobs.job import About
from infra.jobs.record import RunRecord
from infra.jobs.run_log import FOLDER, RunLog, as_told, lines_about, lines_about_clip, problems
from infra.jobs.status import RunStatus, read_statuses
from infra.jobs.unit_log import line
from tests.worlds.small_disk import fill, small_disk
from tests.worlds.waiting import until


def test_lines_are_found_by_their_unit_over_all_runs_in_order(tmp_path: Path) -> None:
    for run in range(2):
        log = RunLog(str(tmp_path), "toy-720p")
        log.add([line("passed", unit=unit, run_number=run) for unit in ("a", "a-b", 'q"uote', "später")])
        log.write()
    (part, *_) = sorted((tmp_path / FOLDER).iterdir())
    with part.open("ab") as file:
        file.write(b'{"unit": "a", "eve')  # torn by a crash
    for unit in ("a", "a-b", 'q"uote', "später"):
        assert [found["run_number"] for found in lines_about(str(tmp_path), unit)] == [0, 1]
    assert not list(lines_about(str(tmp_path), "nobody"))


def test_a_name_that_is_no_text_does_not_keep_a_line_from_being_written(tmp_path: Path) -> None:
    log = RunLog(str(tmp_path), "toy")
    log.add([line("failed", unit="a", reason="no video: caf\udce9.mp4")])
    log.write()
    assert [found["reason"] for found in lines_about(str(tmp_path), "a")] == ["no video: caf?.mp4"]


def test_a_long_log_is_cut_into_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "MAX_BYTES", 400)
    log = RunLog(str(tmp_path), "toy")
    for number in range(20):
        log.add([line("passed", unit=f"u{number % 2}", number=number)])
        log.write()
    assert len(list((tmp_path / FOLDER).iterdir())) > 2
    assert [found["number"] for found in lines_about(str(tmp_path), "u1")] == list(range(1, 20, 2))


def test_on_an_object_store_the_last_file_is_sent_whole(object_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "MAX_BYTES", 400)
    run = "s3://run-log/logged"
    s3fs.S3FileSystem().mkdir("run-log")
    log = RunLog(run, "toy")
    for number in range(12):
        log.add([line("passed", unit="u", number=number)])
        if number % 2:
            log.write()
    log.write()
    assert [found["number"] for found in lines_about(run, "u")] == list(range(12))


def test_a_log_that_cannot_be_written_is_told_once_and_ends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FOLDER).write_text("a file in the folder's place")
    status = RunStatus(job="toy", about=About(run=str(tmp_path)), planned=1, began=0.0, now=1.0)
    with RunRecord("toy", status.about) as record:
        record.log("passed", unit="u")
        record.show(status)
    assert capsys.readouterr().err.count("cannot be kept now") == 1
    assert "toy" in read_statuses(str(tmp_path)), "the status can be"


def test_lines_that_cannot_be_written_do_not_fill_memory_and_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log, "MAX_WAITING", 1000)
    log, blocked = RunLog(str(tmp_path), "toy"), tmp_path / FOLDER
    blocked.write_text("a file in the folder's place")
    for number in range(100):
        log.add([line("passed", unit="u", number=number)])
        with pytest.raises(OSError, match="exists"):
            log.write()
    blocked.unlink()
    log.write()
    log.write()
    kept = list(lines_about(str(tmp_path), "u"))
    (lost,) = [found for found in problems(str(tmp_path)) if found["event"] == "lines_lost"]
    assert [found["number"] for found in kept] == list(range(len(kept)))
    assert (0 < len(kept) < 100, lost["number"]) == (True, 100 - len(kept))


def test_a_line_that_a_full_disk_cuts_short_is_written_once(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        log = RunLog(str(disk), "toy")
        log.add([line("passed", unit="u", number=0)])
        log.write()
        fill(disk, leave=1 << 14)
        log.add([line("passed", unit="u", number=number, text="x" * 1000) for number in range(1, 100)])
        with pytest.raises(OSError, match="No space"):
            log.write()
        (disk / "filler").unlink()
        log.write()
        assert [found["number"] for found in lines_about(str(disk), "u")] == list(range(100))


def test_that_a_run_lives_is_told_while_nothing_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "LOCAL_INTERVAL_S", 0.02)
    began = time.time()
    status = RunStatus(job="toy", about=About(run=str(tmp_path)), planned=1, began=began, now=began)

    def kept() -> dict[str, Any]:
        found: dict[str, Any] = read_statuses(str(tmp_path)).get("toy", {"now": 0.0})
        return found

    with RunRecord("toy", status.about) as record:
        record.show(status)
        until(lambda: kept()["now"] > began + 0.1)
        assert kept()["idle_s"] > 0.05
        record.show(replace(status, ended=""))
    assert (kept()["now"], kept()["ended"]) == (began, "")


def test_the_record_has_a_line_for_each_unit_that_is_committed_failed_or_left(tmp_path: Path) -> None:
    record = RunRecord("toy", About(run=str(tmp_path)))
    with record:
        record.passed("a", {"pool": "all", "attempt": 2, "node": "10.0.0.1"}, {"faces": 1.23456, "pose": 0.0}, ())
        record.committed(["a", "b"], {"b": "probe/empty_file: b.mp4"}, node="10.0.0.1")
        record.left(["c"], "the store throttles")
    (part,) = (tmp_path / FOLDER).iterdir()
    lines = [json.loads(text) for text in part.read_text().splitlines()]
    assert [(each["event"], each["unit"]) for each in lines] == [
        ("passed", "a"), ("committed", "a"), ("failed", "b"), ("left", "c"),
    ]  # fmt: skip
    assert lines[0]["seconds"] == {"faces": 1.235}
    assert {each["job"] for each in lines} == {"toy"}
    assert lines[2]["reason"] == "probe/empty_file: b.mp4"


def test_a_units_lines_are_found_by_a_clips_key_too(tmp_path: Path) -> None:
    log = RunLog(str(tmp_path), "toy")
    log.add([line("passed", unit="a-talk-0f0f0f0f0f-0000"), line("passed", unit="a-talk-0f0f0f0f0f-0001")])
    log.write()
    for clip in ("a-talk-0f0f0f0f0f-0001-0007", "a-talk-0f0f0f0f0f-0001-0007-upper"):
        (found,) = lines_about_clip(str(tmp_path), clip)
        assert found["unit"] == "a-talk-0f0f0f0f0f-0001"


def test_problems_are_all_but_the_ordinary_course_of_units(tmp_path: Path) -> None:
    log = RunLog(str(tmp_path), "toy")
    log.add(
        [line("began", planned=2), line("passed", unit="a"), line("lost", level="warning", unit="b"), line("ended")]
    )
    log.write()
    assert [found["event"] for found in problems(str(tmp_path))] == ["began", "lost", "ended"]


def test_a_line_is_told_with_where_it_happened() -> None:
    whole = line("lost", level="warning", unit="u", pool="look", stage="faces", attempt=2, node="10.0.0.3",
                 node_id="ab12cd34", reason="worker died")  # fmt: skip
    told = as_told({**whole, "time": "T"})
    assert told == "T  lost  look/faces  attempt 2  on 10.0.0.3 (ab12cd34)  unit=u  reason=worker died"
