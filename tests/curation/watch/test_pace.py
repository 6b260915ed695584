"""How fast a run goes and how long it will take, on made histories whose truth is known."""

from __future__ import annotations

import pytest

from curation.watch.document import Status, status_of
from curation.watch.pace import curve, left_s, mean_per_hour, moments_of, recent_pace
from tests.worlds.watched import history, status


def run_of(
    *, until_s: float, step_s: float, per_step: int, planned: int = 1000, points: list[dict[str, object]] | None = None
) -> Status:
    """A run that commits in steps, as it is `until_s` after it began."""
    made = points or history(0.0, until_s=until_s, step_s=step_s, per_step=per_step)
    done = made[-1]["units"]
    assert isinstance(done, int)
    return status_of(
        status(began=0.0)
        | {
            "planned": planned, "now": until_s, "history": made, "progress": {"units": done},
            "units": {"waiting": planned - done, "done": done},
        }
    )  # fmt: skip


@pytest.mark.parametrize("until_s", [600.0, 630.0, 659.0])
def test_between_two_commits_the_time_left_runs_down_evenly(until_s: float) -> None:
    run = run_of(until_s=until_s, step_s=60.0, per_step=8)
    pace = recent_pace(moments_of(run, "units"))
    assert pace is not None
    assert pace.per_s == pytest.approx(8 / 60, rel=0.05)
    assert left_s(run) == pytest.approx(1000 / 8 * 60 - until_s, rel=0.05)


def test_nothing_is_told_before_there_are_three_commits() -> None:
    assert left_s(run_of(until_s=179.0, step_s=60.0, per_step=8)) is None
    assert left_s(run_of(until_s=181.0, step_s=60.0, per_step=8)) is not None
    assert curve(moments_of(run_of(until_s=100.0, step_s=60.0, per_step=8), "units"), is_over=False) == []


def test_a_slow_beginning_does_not_count_for_what_is_left() -> None:
    loading_s = 1200.0
    later = history(loading_s, until_s=1800.0, step_s=30.0, per_step=10)
    run = run_of(until_s=3000.0, step_s=30.0, per_step=10, points=later, planned=1200)
    assert left_s(run) == pytest.approx(600 / 10 * 30, rel=0.05)
    mean = mean_per_hour(moments_of(run, "units"))
    assert mean == pytest.approx(600 / 3000 * 3600)


def test_a_run_that_has_become_slower_is_told_so() -> None:
    fast = history(0.0, until_s=1000.0, step_s=10.0, per_step=1)
    slow = history(1000.0, until_s=1000.0, step_s=50.0, per_step=1)
    points = [*fast, *({**point, "units": point["units"] + 100} for point in slow)]
    run = run_of(until_s=2000.0, step_s=0.0, per_step=0, points=points)
    assert left_s(run) == pytest.approx((1000 - 120) * 50, rel=0.1)


def test_a_commit_that_is_overdue_slows_the_run_down() -> None:
    points = history(0.0, until_s=600.0, step_s=60.0, per_step=8)
    still = [{**points[-1], "at": 600.0 + second} for second in range(2, 1800, 2)]
    run = run_of(until_s=2400.0, step_s=60.0, per_step=8, points=[*points, *still])
    left = left_s(run)
    assert left is not None
    assert left > 2 * (1000 - 80) / 8 * 60


def test_what_has_ended_or_is_all_done_has_no_time_left() -> None:
    run = run_of(until_s=600.0, step_s=60.0, per_step=8)
    assert left_s(run) is not None
    for field in ("ending", "ended"):
        assert left_s(run.model_copy(update={field: "SIGTERM"})) is None
    assert left_s(run_of(until_s=600.0, step_s=60.0, per_step=8, planned=80)) is None


def test_the_curve_of_an_even_run_is_flat_although_it_commits_in_groups() -> None:
    run = run_of(until_s=3655.0, step_s=60.0, per_step=8)
    points = curve(moments_of(run, "units"), is_over=False)
    assert all(value == pytest.approx(480, rel=0.07) for _, value in points)
    assert 0 < points[0][0] < points[-1][0] <= 3655.0


def test_the_curve_falls_where_nothing_comes_any_more() -> None:
    points = history(0.0, until_s=600.0, step_s=60.0, per_step=8)
    still = [{**points[-1], "at": 600.0 + second} for second in range(2, 600, 2)]
    run = run_of(until_s=1200.0, step_s=60.0, per_step=8, points=[*points, *still])
    assert curve(moments_of(run, "units"), is_over=False)[-1][1] == 0.0


def test_a_history_in_disorder_breaks_nothing() -> None:
    odd = [{"at": at, "units": units} for at, units in ((50, 5), (-10, 9), (20, 2), (20, 3), (90, 1), (70, 8))]
    run = status_of(status(began=0.0) | {"history": odd, "now": 60.0})
    for is_over in (False, True):
        curve(moments_of(run, "units"), is_over=is_over)
    left_s(run)
