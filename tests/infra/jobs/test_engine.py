"""The engine with a job that does nothing: units, pools, commits, and workers that die, hang or never start."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.config import ConfigError
from infra.jobs import notes
from infra.jobs.engine import run_in_pool, run_inline, run_on_ray
from infra.jobs.placement import ExecutionConfig, PoolConfig
from infra.jobs.progress import Progress
from infra.jobs.run_log import lines_about, problems
from infra.jobs.status import read_statuses
from infra.jobs.waiting import UnitsWaitError
from infra.storage.line_files import read_lines
from tests.worlds.toy_job import ATTEMPTS, COMMITS, ToyJob, Unit, refuse

LEFT = r"\A1 unit is not done and not judged: the server is away; the same command goes on\Z"
ONE_ACTOR = PoolConfig(name="all", actors=1, num_cpus=0.5)


def units(*names: str) -> list[Unit]:
    return [Unit(name=name) for name in names]


def nothing(_: Progress) -> None:
    """Ignores progress."""


def ended(run: Path) -> str | None:
    """Why the last run on a directory has ended, as its status tells."""
    found: str | None = read_statuses(str(run))["toy"]["ended"]
    return found


def test_inline_units_are_committed_together_and_counted_while_in_work(tmp_path: Path) -> None:
    job, seen = ToyJob(out=tmp_path), list[tuple[int, int, int, int]]()

    def see(totals: Progress) -> None:
        seen.append((totals.units, totals.units_finished, totals.units_in_work, totals.in_work))

    run_inline(units("a", "b", "c"), job, see)
    assert job.results() == dict.fromkeys("abc", "first second")
    assert read_lines(tmp_path / COMMITS) == ["a b", "c"]
    assert list(dict.fromkeys(seen)) == [
        (0, 0, 0, 0),  # the worker had something to tell
        *[(0, 0, 1, 0), (0, 0, 1, 1), (0, 1, 0, 1)],
        *[(0, 1, 1, 1), (0, 1, 1, 2), (2, 0, 0, 0)],
        *[(2, 0, 1, 0), (2, 0, 1, 1), (3, 0, 0, 0)],
    ]


def test_on_ray_every_unit_passes_every_pool_and_is_committed_once(ray_cluster: None, tmp_path: Path) -> None:
    pools = tuple(PoolConfig(name=name, stages=(name,), actors=1, num_cpus=0.5) for name in ("first", "second"))
    job, seen = ToyJob(out=tmp_path, execution=ExecutionConfig(pools=pools)), list[Progress]()
    run_on_ray(units(*"abcde"), job, seen.append)
    assert job.results() == dict.fromkeys("abcde", "first second")
    assert max(len(line.split()) for line in read_lines(tmp_path / COMMITS)) <= 2
    assert (seen[-1].units, seen[-1].kept, seen[-1].units_in_work, seen[-1].in_work) == (5, 5, 0, 0)


def test_units_that_kill_or_hang_their_worker_are_tried_again_then_given_up_and_the_run_goes_on(
    ray_cluster: None, tmp_path: Path
) -> None:
    execution = ExecutionConfig(pools=(ONE_ACTOR,), max_attempts=2, unit_timeout_s=2.0)
    job = ToyJob(out=tmp_path, execution=execution, units_per_commit=1)
    run_on_ray(units("crash", "good", "hang", "later"), job, nothing)
    died = "given up: its worker in pool 'all' died or hung 2 times"
    assert job.results() == {"crash": died, **dict.fromkeys(("good", "hang", "later"), "first second")}
    attempts = Counter(read_lines(tmp_path / ATTEMPTS))
    assert attempts["crash"] == attempts["hang"] == 2


def test_a_result_that_kills_its_worker_when_it_is_passed_on_is_given_up_too(ray_cluster: None, tmp_path: Path) -> None:
    job = ToyJob(out=tmp_path, execution=ExecutionConfig(pools=(ONE_ACTOR,), max_attempts=2))
    run_on_ray(units("good", "heavy"), job, nothing)
    died = "given up: its worker in pool 'all' died or hung 2 times"
    assert job.results() == {"good": "first second", "heavy": died}
    assert read_lines(tmp_path / ATTEMPTS).count("heavy") == 2


def test_a_unit_whose_worker_dies_right_after_its_commit_is_not_done_again(ray_cluster: None, tmp_path: Path) -> None:
    job = ToyJob(out=tmp_path, execution=ExecutionConfig(pools=(ONE_ACTOR,)), units_per_commit=1)
    seen = list[Progress]()
    run_on_ray(units("late", "good"), job, seen.append)
    assert job.results() == dict.fromkeys(("late", "good"), "first second")
    assert (seen[-1].units, seen[-1].kept) == (2, 2)
    assert read_lines(tmp_path / ATTEMPTS).count("late") == 1
    assert "committed" in [line["event"] for line in lines_about(str(tmp_path), "late")]


IN_COMPANY = PoolConfig(name="all", actors=1, num_cpus=0.5, units_in_flight=3)


def test_several_units_are_in_work_at_once_and_one_that_kills_its_worker_takes_nobody_with_it(
    ray_cluster: None, tmp_path: Path
) -> None:
    execution = ExecutionConfig(pools=(IN_COMPANY,), max_attempts=1, unit_timeout_s=60.0)
    job = ToyJob(out=tmp_path, execution=execution, together=3)
    run_on_ray(units("crash", "b", "c"), job, nothing)
    died = "given up: its worker in pool 'all' died or hung 2 times, the last time with no other unit in work"
    assert job.results() == {"crash": died, **dict.fromkeys("bc", "first second")}
    assert read_lines(tmp_path / ATTEMPTS).count("crash") == 2


@pytest.mark.parametrize("per_commit", [1, 2])
def test_a_unit_that_waits_for_a_server_is_left_to_the_next_run_and_what_workers_tell_is_heard(
    ray_cluster: None, tmp_path: Path, per_commit: int
) -> None:
    pools = tuple(PoolConfig(name=name, stages=(name,), actors=1, num_cpus=0.5) for name in ("first", "second"))
    job = ToyJob(out=tmp_path, execution=ExecutionConfig(pools=pools), units_per_commit=per_commit)
    seen = list[Progress]()
    with pytest.raises(UnitsWaitError, match=LEFT):
        run_on_ray(units("a", "wait", "c"), job, seen.append)
    assert job.results() == dict.fromkeys("ac", "first second")
    assert read_lines(tmp_path / ATTEMPTS).count("wait") == 1
    assert (seen[-1].units, seen[-1].units_in_work, seen[-1].waiting.total()) == (2, 0, 1)
    assert seen[-1].notes == ["1 at a time"]
    assert ended(tmp_path) == "the server is away"


def test_inline_a_unit_that_waits_is_left_too(tmp_path: Path) -> None:
    job, seen = ToyJob(out=tmp_path), list[Progress]()
    with pytest.raises(UnitsWaitError, match=LEFT):
        run_inline(units("a", "b", "c", "wait"), job, seen.append)
    assert job.results() == dict.fromkeys("abc", "first second")
    assert (seen[-1].units, seen[-1].in_work, seen[-1].notes) == (3, 0, ["1 at a time"])
    assert ended(tmp_path) == "the server is away"
    assert [line["level"] for line in problems(str(tmp_path)) if line["event"] == "ended"] == ["warning"]


def test_a_store_that_is_busy_for_a_moment_costs_no_unit(ray_cluster: None, tmp_path: Path) -> None:
    job = ToyJob(out=tmp_path, execution=ExecutionConfig(pools=(ONE_ACTOR,)))
    run_on_ray(units("busy", "good"), job, nothing)
    assert job.results() == dict.fromkeys(("busy", "good"), "first second")
    assert read_lines(tmp_path / ATTEMPTS).count("busy") == 2


@pytest.mark.parametrize("run", [run_inline, run_on_ray])
def test_a_full_disk_ends_the_run_with_what_is_done_committed(
    ray_cluster: None, tmp_path: Path, run: Callable[..., None]
) -> None:
    job = ToyJob(out=tmp_path, execution=ExecutionConfig(pools=(ONE_ACTOR,), patience_s=0.0))
    line = r"\Athe run stopped: no space left for /scratch; \d+ units are not done and not judged; the same command "
    with pytest.raises(UnitsWaitError, match=line):
        run(units("a", "full", *(f"later {number}" for number in range(20))), job, nothing)
    assert job.results()["a"] == "first second"
    assert len(job.results()) < 6


def test_a_run_whose_units_all_wait_for_the_same_ends(ray_cluster: None, tmp_path: Path) -> None:
    job = ToyJob(out=tmp_path, execution=ExecutionConfig(pools=(ONE_ACTOR,)))
    line = r"\Athe run stopped: the server is away, 10 times in a row; \d\d units are not done and not judged; the same"
    with pytest.raises(UnitsWaitError, match=line):
        run_on_ray(units("a", *(f"wait {number}" for number in range(30))), job, nothing)
    assert job.results() == {"a": "first second"}
    assert len(read_lines(tmp_path / ATTEMPTS)) < 20


def test_what_is_committed_is_put_in_order_at_the_end(ray_cluster: None, tmp_path: Path) -> None:
    job = ToyJob(out=tmp_path, execution=ExecutionConfig(pools=(ONE_ACTOR,)))
    run_on_ray(units("a"), job, nothing)
    assert len(read_lines(tmp_path / "tidied")) == 1


def test_workers_that_do_not_start_end_the_run(ray_cluster: None, tmp_path: Path) -> None:
    execution = ExecutionConfig(pools=(ONE_ACTOR,), start_timeout_s=1.0)
    message = "no worker of pool 'all' has started within 1 s; it was loading first, second "
    with pytest.raises(TimeoutError, match=message):
        run_on_ray(units("a"), ToyJob(out=tmp_path, execution=execution, starts=False), nothing)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_without_units_the_directory_is_taken_over_and_nothing_started(tmp_path: Path) -> None:
    job = ToyJob(out=tmp_path / "out", starts=False)
    run_on_ray([], job, lambda _: pytest.fail("there is nothing to report"))
    assert ended(tmp_path / "out") == ""


def test_what_is_kept_of_a_run_stays_when_nothing_is_left_to_do_unless_it_says_otherwise(tmp_path: Path) -> None:
    job = ToyJob(out=tmp_path)
    run_inline(units("a"), job, nothing)
    path = tmp_path / "status" / "toy.json"
    whole = path.read_text()
    run_inline([], job, nothing)
    assert path.read_text() == whole
    path.write_text(json.dumps({**json.loads(whole), "ended": None}))  # killed after its last commit
    run_inline([], job, nothing)
    assert ended(tmp_path) == ""


def test_a_run_that_is_told_to_end_over_its_last_unit_has_done_all(tmp_path: Path) -> None:
    told = list[int]()

    def end(progress: Progress) -> None:
        if progress.units_in_work and not told:
            told.append(progress.units_in_work)
            signal.raise_signal(signal.SIGTERM)

    run_inline(units("a"), ToyJob(out=tmp_path), end)
    assert (told, ended(tmp_path)) == ([1], "")


def test_names_need_not_be_ascii(ray_cluster: None, tmp_path: Path) -> None:
    job = ToyJob(out=tmp_path / "später", execution=ExecutionConfig(pools=(ONE_ACTOR,)))
    told = list[str]()
    with notes.heard_by(told.append), pytest.raises(UnitsWaitError):
        run_on_ray(units("wait für später"), job, nothing)
    assert not told


def test_a_mistake_that_a_worker_finds_when_it_starts_is_a_mistake(ray_cluster: None, tmp_path: Path) -> None:
    job = ToyJob(out=tmp_path, execution=ExecutionConfig(pools=(ONE_ACTOR,)), lacks_weights=True)
    with pytest.raises(ConfigError, match=r"\Ano weights on this node\Z"):
        run_on_ray(units("a"), job, nothing)


def test_a_mistake_that_only_a_worker_finds_is_a_mistake(ray_cluster: None, tmp_path: Path) -> None:
    job = ToyJob(out=tmp_path, execution=ExecutionConfig(pools=(ONE_ACTOR,)))
    with pytest.raises(ConfigError, match=r"\Anot with this model\Z"):
        run_in_pool(job, refuse)
    assert run_in_pool(job, tmp_path.is_dir)
