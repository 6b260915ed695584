"""What the ledger of a run counts, and what it says of a silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from infra.jobs.ledger import Ledger, Progress


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


def test_attempts_are_counted_for_each_pool_and_forgotten_when_the_worker_came_back() -> None:
    ledger = Ledger()
    assert [ledger.begin("cuts", "a"), ledger.begin("looks", "a"), ledger.begin("cuts", "a")] == [1, 1, 2]
    ledger.end("cuts", "a", finished=False)
    assert [ledger.begin("cuts", "a"), ledger.begin("looks", "a")] == [1, 2]


def test_a_unit_that_is_taken_up_again_begins_to_count_anew() -> None:
    ledger = Ledger()
    ledger.begin("all", "a")
    ledger.advance("a")
    ledger.begin("all", "a")
    assert ledger.snapshot().in_work == 0


def test_totals_of_commits_are_added() -> None:
    ledger = Ledger()
    for stage_s in (1.0, 2.5):
        part = Progress(units=1, failed=1, clips=3, kept=2, rejected=Counter(dark=1), stage_seconds={"faces": stage_s})
        ledger.committed(["a"], part)
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
    )
    for sign in signs:
        now_s += 60.0
        assert ledger.silence().seconds == 60.0
        sign()
        assert ledger.silence().seconds == 0.0
