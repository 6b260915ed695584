"""What is shown of a status: states, the funnel, costs, the pool that holds a run up, and servers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from curation.watch.document import status_of
from curation.watch.statuses import Watched
from curation.watch.summary import State, bottleneck, funnel, rates, stage_costs, state_of, view
from tests.worlds.watched import POOLS, pool, status


def job_of(document: dict[str, Any], silent_s: float = 1.0, name: str = "curation") -> Watched:
    return Watched(id=name, status=status_of(document), silent_s=silent_s)


@pytest.mark.parametrize(
    ("known", "silent_s", "run", "state"),
    [
        ({}, 2.0, "/run", State.RUNNING),
        ({"units": {"waiting": 200}}, 2.0, "/run", State.STARTING),
        ({"units": {"waiting": 199, "in_work": 1}}, 2.0, "/run", State.RUNNING),
        ({}, 60.0, "/run", State.SILENT),
        ({}, 60.0, "s3://bucket/run", State.RUNNING),
        ({}, 200.0, "s3://bucket/run", State.SILENT),
        ({"pools": []}, 2.0, "/run", State.RUNNING),
        ({"pools": []}, 60.0, "/run", State.SILENT),
        ({"ending": "SIGTERM"}, 2.0, "/run", State.ENDING),
        ({"ending": "SIGTERM", "units": {"waiting": 200}}, 2.0, "/run", State.ENDING),
        ({"ending": "SIGTERM"}, 60.0, "/run", State.SILENT),
        ({"ending": "SIGTERM", "ended": "SIGTERM"}, 2.0, "/run", State.BROKEN_OFF),
        ({"ended": ""}, 99999.0, "/run", State.DONE),
        ({"ended": "SIGTERM"}, 99999.0, "/run", State.BROKEN_OFF),
    ],
)
def test_the_state_of_a_job(known: dict[str, Any], silent_s: float, run: str, state: State) -> None:
    assert state_of(job_of(status(**known), silent_s), run) is state


def test_the_funnel_is_in_the_order_of_the_stages_and_its_counts_meet() -> None:
    found = funnel(status_of(status()))
    assert found["units"] == {
        "count": 80,
        "steps": [
            {"stage": "probe", "rules": [["unreadable", 2]], "new": 0, "in": 80, "lost": 2},
            {"stage": "format", "rules": [["too short", 8]], "new": 0, "in": 78, "lost": 8},
        ],
    }
    clips = found["clips"]
    assert [(step["stage"], step["in"], step["lost"]) for step in clips["steps"]] == [
        ("split", 240, 40), ("quality", 200, 49), ("worker", 151, 1),
    ]  # fmt: skip
    assert (clips["count"], clips["kept"], clips["whole"]) == (240, 150, 0)


def test_units_that_fail_late_are_told_apart_from_clips() -> None:
    document = status()
    document["progress"]["rejected"]["worker/crashed"] = 4
    clips = funnel(status_of(document))["clips"]
    assert (clips["count"], clips["whole"]) == (243, 3)
    assert clips["steps"][-1]["in"] - clips["steps"][-1]["lost"] == clips["kept"]


def test_crops_are_added_at_the_stage_that_makes_them() -> None:
    document = status(pools=[pool("cpu", ["format", "split", "quality", "pose"]), pool("commit")])
    document["progress"] |= {"clips": 260, "kept": 170, "crops": 20}
    clips = funnel(status_of(document))["clips"]
    assert [(step["stage"], step["new"], step["in"], step["lost"]) for step in clips["steps"]] == [
        ("split", 0, 240, 40), ("quality", 0, 200, 49), ("pose", 20, 171, 0), ("worker", 0, 171, 1),
    ]  # fmt: skip
    assert (clips["count"], clips["kept"]) == (240, 170)


def test_reasons_without_a_stage_are_told_as_they_are() -> None:
    document = status(job="compaction", pools=[pool("merge", ["merge"])])
    document["progress"] |= {"clips": 10, "kept": 7, "rejected": {"damaged or gone": 3}}
    found = funnel(status_of(document))
    assert found["units"] is None
    assert found["clips"]["steps"] == [
        {"stage": "damaged or gone", "rules": [["damaged or gone", 3]], "new": 0, "in": 10, "lost": 3}
    ]


def test_the_cost_of_stages_is_in_their_order_and_adds_up() -> None:
    costs = stage_costs(status_of(status()))
    assert [(cost["stage"], cost["share"]) for cost in costs] == [
        ("probe", 0.05), ("split", 0.25), ("quality", 0.1), ("caption", 0.6),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pools", "words"),
    [
        (POOLS, "The pool models is the slowest: 4 wait for it"),
        ([POOLS[0], pool("models", ["caption"], waiting=1), POOLS[2]], "The first pool, cpu, is the slowest"),
        ([pool("cpu", waiting=9, in_hand=0), pool("models", waiting=0), POOLS[2]], ""),
        ([pool("cpu"), pool("models", waiting=3, ready=0, starting=2, in_hand=0), POOLS[2]], "no actor that is ready"),
        ([pool("all", ["split", "caption"], waiting=8), POOLS[2]], "All 2 actors are busy. Of its stages, caption"),
        ([POOLS[0], POOLS[1], pool("commit", waiting=2)], "The pool commit is the slowest"),
        ([], ""),
    ],
)
def test_which_pool_holds_the_run_up(pools: list[dict[str, Any]], words: str) -> None:
    told = bottleneck(status_of(status(pools=pools)))
    assert (words in told) if words else not told


def test_rates_now_and_on_average() -> None:
    units, clips, video = rates(status_of(status()), is_over=False)
    assert [each["name"] for each in (units, clips, video)] == ["units", "clips", "hours of video"]
    assert units["now"] == pytest.approx(480, rel=0.02)
    assert units["mean"] == pytest.approx(480, rel=0.02)
    assert clips["now"] == pytest.approx(3 * units["now"])
    assert video["mean"] == pytest.approx(units["mean"] * 30 / 3600)
    assert rates(status_of(status()), is_over=True)[0]["now"] is None


def test_a_run_without_video_has_no_rate_of_it() -> None:
    document = status(history=[])
    document["progress"] |= {"video_s": 0.0}
    assert [each["name"] for each in rates(status_of(document), is_over=False)] == ["units", "clips"]


def test_all_that_is_told_of_a_run() -> None:
    shown = view(job_of(status(), silent_s=2.0), "/run with space")
    json.dumps(shown, allow_nan=False)
    assert (shown["done"], shown["planned"], shown["earlier"]) == (83, 200, 1200)
    assert shown["elapsed_s"] == pytest.approx(602.0)
    assert shown["failures"][0] == ("worse-0002", "worker/crashed: it died")
    assert shown["faults"] == [("the store throttles", 3)]
    assert shown["servers"] == [
        {"server": "captions", "requests": 50, "outcomes": [("answered", 40), ("timed out", 10)], "seconds_each": 2.0}
    ]
    assert shown["models"] == [{"model": "Qwen3-VL", "read": 9000.0, "written": 700.0}]
    assert shown["hints"]["browse"] == "python -m curation browse --run '/run with space'"


def test_a_run_that_is_silent_has_not_become_longer() -> None:
    shown = view(job_of(status(), silent_s=3600.0), "/run")
    assert (shown["elapsed_s"], shown["left_s"], shown["bottleneck"]) == (600.0, None, "")
    assert [rate["now"] for rate in shown["rates"]] == [None, None, None]
    assert (shown["oldest"], shown["idle_s"]) == (None, None)


def test_a_run_that_is_ending_goes_on_and_has_no_time_left() -> None:
    shown = view(job_of(status(ending="SIGTERM"), silent_s=2.0), "/run")
    assert (shown["ending"], shown["reason"], shown["left_s"]) == ("SIGTERM", None, None)
    assert (shown["elapsed_s"], shown["oldest"]) == (pytest.approx(602.0), "long-0007")
    assert all(rate["now"] > 0 for rate in shown["rates"])


@pytest.mark.parametrize(
    ("state", "idle_s"), [("done", 6.0), ("failed", 6.0), ("left", 6.0), ("finished", 6.0), ("waiting", None)]
)
def test_when_a_unit_last_ended_is_told_once_one_has(state: str, idle_s: float | None) -> None:
    units = {"in_work": 3, state: 1}
    assert view(job_of(status(units=units), silent_s=2.0), "/run")["idle_s"] == idle_s


def test_what_there_is_none_of_is_not_listed() -> None:
    shown = view(job_of(status(lost={"worker died": 0, "node left": 2, "no memory": 0})), "/run")
    assert shown["lost"] == [("node left", 2)]
    assert view(job_of(status(lost={"worker died": 0})), "/run")["lost"] == []


def test_hints_of_a_version_name_it() -> None:
    shown = view(job_of(status(ended=""), name="decisions/strict/curation"), "runs/a")
    assert shown["version"] == "strict"
    assert shown["hints"] == {
        "report": "runs/a/decisions/strict/report.html",
        "browse": "python -m curation browse --run runs/a --decisions strict",
        "logs": "python -m curation logs KEY --run runs/a/decisions/strict",
    }


@pytest.mark.parametrize(
    "document",
    [
        None, [], 3, "text", {}, {"job": "curation"}, status() | {"planned": "many"}, status() | {"now": float("nan")},
        status() | {"progress": None}, status() | {"pools": [{"stages": []}]}, status() | {"history": [{"units": 3}]},
    ],
)  # fmt: skip
def test_what_something_else_wrote_is_refused_in_one_line(document: object) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        status_of(document)


def test_what_a_later_version_adds_is_left_out() -> None:
    document = status() | {"new": 1}
    document["progress"]["new"] = 2
    assert status_of(document) == status_of({name: value for name, value in document.items() if name != "new"})
