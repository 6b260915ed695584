"""Which jobs a run has, in which order, and how long each has been silent."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import s3fs

from curation.watch.statuses import Statuses, read_documents
from infra.jobs.engine import run_inline
from infra.jobs.progress import Progress
from infra.jobs.status import History, RunView, write_status
from tests.worlds.tiny_units import TinyJob, TinyUnit
from tests.worlds.watched import keep, status


class Clock:
    """The time of this process, which passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def time(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("curation.watch.statuses.time", SimpleNamespace(time=clock.time, monotonic=clock.monotonic))
    return clock


def silent_s(statuses: Statuses) -> float:
    (job,) = statuses.now()
    return job.silent_s


def test_jobs_that_go_on_come_first_then_those_that_ended_last(tmp_path: Path) -> None:
    now = time.time()
    keep(tmp_path, status(job="encode-720p", began=now - 5000, ended=""))
    keep(tmp_path, status(job="curation", began=now - 9000, ended="SIGTERM"))
    keep(tmp_path, status(job="compaction", began=now - 600))
    keep(tmp_path / "decisions" / "strict", status(job="curation", began=now - 300))
    keep(tmp_path, {"foreign": True}, name="other")
    (tmp_path / "status" / "torn.json").write_text("{")
    jobs = Statuses(str(tmp_path)).now()
    assert [job.id for job in jobs] == ["decisions/strict/curation", "compaction", "encode-720p", "curation", "other"]
    assert [job.version for job in jobs][:2] == ["strict", None]
    assert (jobs[-1].status, jobs[-1].problem) == (None, "job: Field required")


def test_a_run_by_a_real_job_is_understood(tmp_path: Path) -> None:
    job = TinyJob(out=tmp_path)
    run_inline([TinyUnit(key=f"{number:06d}") for number in range(20)], job, lambda _: None)
    (found,) = Statuses(str(tmp_path)).now()
    assert found.status is not None
    assert (found.id, found.status.ended, found.status.units.done, found.status.planned) == ("tiny", "", 20, 20)


def test_a_run_that_has_just_begun_is_understood(tmp_path: Path) -> None:
    write_status(RunView(TinyJob(out=tmp_path), 9).status(Progress()), History())
    (found,) = Statuses(str(tmp_path)).now()
    assert found.status is not None, found.problem
    assert (found.goes_on, found.status.planned) == (True, 9)


def test_silence_is_counted_from_the_last_status(tmp_path: Path, clock: Clock) -> None:
    keep(tmp_path, status(began=clock.now_s - 640))
    statuses = Statuses(str(tmp_path))
    assert silent_s(statuses) == pytest.approx(40.0)
    clock.now_s += 25
    assert silent_s(statuses) == pytest.approx(65.0)


@pytest.mark.parametrize("behind_s", [3600.0, -3600.0])
def test_a_driver_whose_clock_is_wrong_is_alive_while_its_status_changes(
    tmp_path: Path, clock: Clock, behind_s: float
) -> None:
    statuses = Statuses(str(tmp_path))
    for _ in range(3):
        clock.now_s += 2
        keep(tmp_path, status(began=clock.now_s - 600 - behind_s))
        found = silent_s(statuses)
    assert found <= 2.0
    clock.now_s += 100
    assert silent_s(statuses) == pytest.approx(100.0, abs=2.0)


def test_a_change_that_nobody_looked_for_is_not_taken_for_a_sign_of_now(tmp_path: Path, clock: Clock) -> None:
    keep(tmp_path, status(began=clock.now_s - 600))
    statuses = Statuses(str(tmp_path))
    assert silent_s(statuses) == pytest.approx(0.0)
    clock.now_s += 500
    keep(tmp_path, status(began=clock.now_s - 600 - 200))
    assert silent_s(statuses) == pytest.approx(200.0)


def test_many_pages_do_not_read_more_often(tmp_path: Path, clock: Clock) -> None:
    keep(tmp_path, status(began=clock.now_s - 600))
    statuses = Statuses(str(tmp_path))
    first = statuses.now()
    keep(tmp_path, status(began=clock.now_s - 599))
    assert statuses.now() is first
    clock.now_s += 1
    assert statuses.now() is not first


def test_a_run_on_an_object_store(object_store: str) -> None:
    s3fs.S3FileSystem().makedirs("watched", exist_ok=True)
    run = "s3://watched/run"
    assert read_documents(run) == {}
    job = TinyJob(out=Path("unused"))
    made = RunView(job, 5).status(Progress(units=2))
    for place in (run, f"{run}/decisions/strict"):
        about = type(made.about)(run=place)
        write_status(type(made)(**{name: getattr(made, name) for name in made.__slots__} | {"about": about}), History())
    assert set(read_documents(run)) == {"tiny", "decisions/strict/tiny"}
