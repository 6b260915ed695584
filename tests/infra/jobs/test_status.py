"""The status of a run: what it says, how it is kept, and that its metrics say the same."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from infra.jobs.gauges import GAUGES, RunMetrics, label, values_of
from infra.jobs.job import About
from infra.jobs.progress import MAX_FAILURES, Progress
from infra.jobs.status import MAX_POINTS, History, PoolStatus, RunStatus, read_statuses, status_path, write_status

PROGRESS = Progress(
    units=7, failed=2, clips=20, kept=5, rejected=Counter({"faces/none": 10, "quality/low": 5}), in_work=3,
    units_in_work=2, units_finished=1, waiting=Counter({"the store throttles (SlowDown)": 4}), video_s=90.5,
    counts={("stage_seconds", "faces"): 1.5, ("served_tokens", "m", "prompt"): 12.0},
)  # fmt: skip


def status_of(run: Path, **known: object) -> RunStatus:
    whole = RunStatus(
        job="toy", about=About(run=str(run), settings="abc", num_done=3), planned=20, began=100.0, now=160.0,
        progress=PROGRESS, pools=(PoolStatus(name="all", ready=2, in_hand=4),), lost=Counter({"node left": 2}),
        idle_s=4.0, oldest="u", oldest_s=9.0,
    )  # fmt: skip
    return replace(whole, **known)  # type: ignore[arg-type]


def test_units_are_each_in_one_state(tmp_path: Path) -> None:
    units = status_of(tmp_path).units
    assert units == {"waiting": 6, "in_work": 2, "finished": 1, "done": 5, "failed": 2, "left": 4}
    assert sum(units.values()) == 20


def test_a_status_is_kept_beside_its_run_and_read_again(tmp_path: Path) -> None:
    status, history = status_of(tmp_path), History()
    history.add(status)
    write_status(status, history)
    (tmp_path / "status" / "torn.json").write_text("{")
    found = read_statuses(str(tmp_path))
    assert set(found) == {"toy"}
    read = found["toy"]
    assert read["progress"]["rejected"] == {"faces/none": 10, "quality/low": 5}
    assert read["progress"]["counts"][1] == {"name": "served_tokens", "labels": ["m", "prompt"], "value": 12.0}
    assert (read["unit_timeout_s"], read["ended"], read["about"]["num_done"]) == (None, None, 3)
    assert read["units"] == status.units
    assert [(point["at"], point["units"]) for point in read["history"]] == [(160.0, 7)]
    assert json.loads(Path(status_path(str(tmp_path), "toy")).read_text()) == read


def test_a_status_grows_older_until_its_run_has_ended(tmp_path: Path) -> None:
    later = status_of(tmp_path).later(190.0)
    assert (later.now, later.idle_s, later.oldest_s) == (190.0, 34.0, 39.0)
    assert status_of(tmp_path, oldest=None, oldest_s=0.0).later(190.0).oldest_s == 0.0
    assert status_of(tmp_path, ended="SIGTERM").later(190.0).now == 160.0


def test_labels_are_ascii_and_what_a_server_answers_is_none(tmp_path: Path) -> None:
    waiting = Counter({"captions refuses the request: 9 tokens": 1, "captions refuses the request: 8 tokens": 2})
    about = About(run=str(tmp_path / "später"))
    status = status_of(tmp_path, about=about, progress=replace(PROGRESS, waiting=waiting))
    assert [value for value in values_of(status) if value[0] == "left_units"] == [
        ("left_units", ("captions refuses the request",), 3)
    ]
    RunMetrics().publish(status, [("faces", 1.0)])
    assert label("später") == r"sp\xe4ter"


def test_counts_are_a_list_before_anything_is_counted(tmp_path: Path) -> None:
    write_status(status_of(tmp_path, progress=Progress()), History())
    assert read_statuses(str(tmp_path))["toy"]["progress"]["counts"] == []


def test_a_name_that_is_no_text_does_not_keep_the_status_from_being_written(tmp_path: Path) -> None:
    failed = Progress(units=1, failed=1, failures={"u": "no video: /videos/caf\udce9.mp4"})
    write_status(status_of(tmp_path, progress=failed), History())
    assert read_statuses(str(tmp_path))["toy"]["progress"]["failures"] == {"u": "no video: /videos/caf?.mp4"}


def test_nothing_is_read_where_nothing_has_run(tmp_path: Path) -> None:
    assert read_statuses(str(tmp_path)) == {}


def test_a_long_run_keeps_a_bounded_number_of_moments_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    history = History()
    for second in range(20_000):
        history.add(status_of(tmp_path, now=float(second)))
    history.add(status_of(tmp_path, now=20_000.0, ended=""))
    times = [point.at for point in history.points]
    assert 100 < len(times) <= MAX_POINTS
    assert (times[0], times[-1]) == (0.0, 20_000.0)
    gaps = [after - before for before, after in itertools.pairwise(times[:-1])]
    assert max(gaps) < 3 * min(gaps)


def test_metrics_say_what_the_status_says(tmp_path: Path) -> None:
    values = {(name, labels): value for name, labels, value in values_of(status_of(tmp_path))}
    assert all(len(labels) == len(GAUGES[name][1]) for name, labels in values)
    assert sum(value for (name, _), value in values.items() if name == "units") == 20
    assert values["rejected", ("faces", "none")] == 10
    assert values["clips", ("rejected",)] == 15
    assert values["lost_units", ("node left",)] == 2
    assert values["left_units", ("the store throttles (SlowDown)",)] == 4
    assert values["pool_units", ("all", "in_hand")] == 4
    assert values["stage_seconds", ("faces",)] == 1.5
    assert (values["idle_seconds", ()], values["oldest_unit_seconds", ()], values["run_info", ("abc",)]) == (4, 9, 1)
    assert ("unit_timeout_seconds", ()) not in values, "there is none"


def test_a_run_that_has_ended_is_neither_idle_nor_stuck(tmp_path: Path) -> None:
    values = {(name, labels): value for name, labels, value in values_of(status_of(tmp_path, ended=""))}
    assert (values["idle_seconds", ()], values["oldest_unit_seconds", ()], values["run_info", ("abc",)]) == (0, 0, 0)


@pytest.mark.parametrize("number", [3, MAX_FAILURES + 5])
def test_the_failures_that_are_kept_are_the_last(number: int) -> None:
    progress = Progress()
    for unit in range(number):
        progress.merge(Progress(units=1, failed=1, failures={f"u{unit}": "gone"}))
    assert progress.failed == number
    assert list(progress.failures)[-1] == f"u{number - 1}"
    assert len(progress.failures) == min(number, MAX_FAILURES)
