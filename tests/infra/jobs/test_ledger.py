"""What the ledger of a run counts, and what it says of a silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from infra.jobs.ledger import MAX_NOTES, Ledger, Progress


def test_the_ledger_knows_what_is_in_hand_from_the_beginning_to_the_commit() -> None:
    ledger = Ledger()
    ledger.started("all")
    assert ledger.begin("all", "a") == 1
    assert ledger.begin("all", "a") == 2  # its worker died
    ledger.advance("a")
    assert ledger.silence().in_hand == ("a",)
    assert (ledger.snapshot().units_in_work, ledger.snapshot().in_work, ledger.snapshot().units_finished) == (1, 1, 0)
    ledger.end("all", "a", finished=True)
    assert ledger.silence().in_hand == ()
    assert (ledger.snapshot().units_in_work, ledger.snapshot().in_work, ledger.snapshot().units_finished) == (0, 1, 1)
    ledger.write(["a"])
    assert ledger.silence().in_hand == ("a",)
    ledger.committed(["a"], Progress(units=1, clips=1))
    assert (ledger.silence().in_hand, ledger.silence().ready) == ((), frozenset({"all"}))
    totals = ledger.snapshot()
    assert (totals.units, totals.clips, totals.in_work, totals.units_in_work, totals.units_finished) == (1, 1, 0, 0, 0)


def test_a_unit_between_two_pools_is_in_work_and_in_nobodys_hand() -> None:
    ledger = Ledger()
    ledger.begin("cuts", "a")
    ledger.end("cuts", "a", finished=False)
    assert ledger.snapshot().units_in_work == 1
    assert ledger.silence().in_hand == ()


def test_attempts_are_counted_for_each_pool_and_forgotten_when_the_result_has_come_further() -> None:
    ledger = Ledger()
    assert [ledger.begin("cuts", "a"), ledger.begin("looks", "a"), ledger.begin("cuts", "a")] == [1, 1, 2]
    ledger.end("cuts", "a", finished=False)
    assert ledger.begin("looks", "a") == 2
    assert ledger.num_attempts("cuts", "a") == 0
    ledger.end("looks", "a", finished=True)
    assert ledger.num_attempts("looks", "a") == 2
    ledger.committed(["a"], Progress())
    assert ledger.num_attempts("looks", "a") == 0


def test_lost_work_and_lost_results_are_counted_apart() -> None:
    ledger = Ledger()
    ledger.begin("all", "a")
    assert ledger.begin("all", "a") == 2, "its worker died in work"
    ledger.end("all", "a", finished=True)
    assert ledger.begin("all", "a") == 2, "its worker died before the result had come further, for the first time"
    ledger.end("all", "a", finished=True)
    assert ledger.begin("all", "a") == 3, "and for the second"
    assert ledger.num_attempts("all", "a") == 4


def test_nothing_is_kept_of_units_that_their_last_pool_commits() -> None:
    ledger = Ledger()
    for pool in ("cuts", "looks"):
        assert ledger.begin(pool, "a") == 1
        if pool == "looks":
            assert not ledger.is_committed("a")
            ledger.committed(["a"], Progress())
        ledger.end(pool, "a", finished=False)
    assert ledger.is_committed("a")
    assert not ledger.attempts
    assert not ledger.results
    assert not ledger.returned
    assert not ledger.in_hand


def test_a_unit_that_is_left_to_the_next_run_is_not_in_work_and_lost_no_attempt() -> None:
    ledger = Ledger()
    for unit in "ab":
        ledger.begin("all", unit)
        ledger.advance(unit)
        ledger.wait("all", unit, "the server is away")
    assert ledger.num_attempts("all", "a") == 0
    totals = ledger.snapshot()
    assert (totals.waiting, totals.units_in_work, totals.in_work) == (Counter({"the server is away": 2}), 0, 0)
    assert ledger.silence().in_hand == ()
    # Ray may hand a unit out again when the worker died before it could pass on that the unit waits.
    ledger.begin("all", "a")
    ledger.end("all", "a", finished=True)
    assert (ledger.snapshot().waiting.total(), ledger.snapshot().units_finished) == (1, 1)


def test_attempts_are_known_before_another_begins() -> None:
    ledger = Ledger()
    assert ledger.num_attempts("all", "a") == 0
    ledger.begin("all", "a")
    assert (ledger.num_attempts("all", "a"), ledger.num_attempts("other", "a")) == (1, 0)


def test_of_what_workers_tell_each_line_is_kept_once_and_not_without_end() -> None:
    ledger = Ledger()
    for line in ("halved", "back", "halved"):
        ledger.note(line)
    assert ledger.snapshot().notes == ["halved", "back"]
    for number in range(2 * MAX_NOTES):
        ledger.note(f"note {number}")
    assert len(ledger.snapshot().notes) == MAX_NOTES + 1
    assert ledger.snapshot().notes[-1].startswith("more notes of the workers are in /")


def test_the_first_mistake_is_the_refusal() -> None:
    ledger = Ledger()
    assert ledger.refusal() is None
    ledger.refuse("no weights")
    ledger.refuse("another")
    assert ledger.refusal() == "no weights"


def test_a_unit_that_is_taken_up_again_begins_to_count_anew() -> None:
    ledger = Ledger()
    ledger.begin("all", "a")
    ledger.advance("a")
    ledger.begin("all", "a")
    assert ledger.snapshot().in_work == 0


def test_totals_of_commits_are_added() -> None:
    ledger = Ledger()
    # The worker that committed "b" died before it could say so, and another committed it again.
    for unit, stage_s in (("a", 1.0), ("b", 2.5), ("b", 2.5)):
        part = Progress(units=1, failed=1, clips=3, kept=2, rejected=Counter(dark=1), stage_seconds={"faces": stage_s})
        ledger.committed([unit], part)
    totals = ledger.snapshot()
    assert (totals.units, totals.failed, totals.clips, totals.kept) == (2, 2, 6, 4)
    assert (totals.rejected, totals.stage_seconds) == (Counter(dark=2), {"faces": 3.5})


def test_every_sign_of_life_ends_a_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("infra.jobs.ledger.time", SimpleNamespace(monotonic=lambda: now_s))
    ledger = Ledger()
    signs: tuple[Callable[[], object], ...] = (
        lambda: ledger.started("all"),
        lambda: ledger.begin("all", "a"),
        lambda: ledger.advance("a"),
        lambda: ledger.end("all", "a", finished=True),
        lambda: ledger.write(["a"]),
        lambda: ledger.committed(["a"], Progress()),
        lambda: ledger.wait("all", "b", "away"),
        lambda: ledger.note("halved"),
        ledger.sign,
    )
    for sign in signs:
        now_s += 60.0
        assert ledger.silence().seconds == 60.0
        sign()
        assert ledger.silence().seconds == 0.0
