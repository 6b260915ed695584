"""What the ledger of a run counts, and what it says of a silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from infra.jobs.ledger import MAX_NOTES, Ledger
from infra.jobs.progress import Left, Progress, Silence


def totals(ledger: Ledger) -> Progress:
    return ledger.snapshot()[0]


def silence(ledger: Ledger) -> Silence:
    return ledger.snapshot()[1]


def test_the_ledger_knows_what_is_in_hand_from_the_beginning_to_the_commit() -> None:
    ledger = Ledger()
    ledger.started("all")
    ledger.begin(["a"])
    ledger.advance("a")
    assert list(silence(ledger).in_hand) == ["a"]
    assert totals(ledger).in_work == 1
    ledger.end(["a"])
    assert not silence(ledger).in_hand
    assert totals(ledger).in_work == 1
    ledger.begin(["a"])  # its commit
    assert list(silence(ledger).in_hand) == ["a"]
    ledger.committed(["a"], Progress(units=1, clips=1))
    assert (silence(ledger).in_hand, silence(ledger).ready) == ({}, frozenset({"all"}))
    assert (totals(ledger).units, totals(ledger).clips, totals(ledger).in_work) == (1, 1, 0)


def test_of_a_lost_workers_units_the_ledger_knows_which_were_begun_and_which_are_committed() -> None:
    ledger = Ledger()
    for unit in ("passed on", "in work", "committed"):
        ledger.begin([unit])
        ledger.advance(unit)
    ledger.end(["passed on"])
    ledger.committed(["committed"], Progress(units=1, clips=1, failed=1, failures={"committed": "no video"}))
    left = ledger.left(["passed on", "in work", "committed", "never begun"])
    assert left == Left(
        begun=frozenset({"in work"}), committed=frozenset({"committed"}), failures={"committed": "no video"}
    )
    assert not silence(ledger).in_hand
    assert totals(ledger).in_work == 0, "what begins anew begins to count anew"


def test_a_unit_that_is_left_to_the_next_run_is_not_in_work() -> None:
    ledger = Ledger()
    for unit in "ab":
        ledger.begin([unit])
        ledger.advance(unit)
    ledger.forget(["a"])
    assert (totals(ledger).in_work, list(silence(ledger).in_hand)) == (1, ["b"])


def test_of_what_workers_tell_each_line_is_kept_once_and_not_without_end() -> None:
    ledger = Ledger()
    for line in ("halved", "back", "halved"):
        ledger.note(line)
    assert totals(ledger).notes == ["halved", "back"]
    for number in range(2 * MAX_NOTES):
        ledger.note(f"note {number}")
    assert len(totals(ledger).notes) == MAX_NOTES + 1
    assert totals(ledger).notes[-1].startswith("more notes of the workers are in /")


def test_the_first_mistake_is_the_refusal() -> None:
    ledger = Ledger()
    assert ledger.refusal() is None
    ledger.refuse("no weights")
    ledger.refuse("another")
    assert ledger.refusal() == "no weights"


def test_totals_of_commits_are_added() -> None:
    ledger = Ledger()
    # The worker that committed "b" died before it could say so, and another committed it again.
    for unit, video_s in (("a", 1.0), ("b", 2.5), ("b", 2.5)):
        part = Progress(units=1, failed=1, clips=3, kept=2, rejected=Counter(dark=1), video_s=video_s)
        ledger.committed([unit], part)
    found = totals(ledger)
    assert (found.units, found.failed, found.clips, found.kept) == (2, 2, 6, 4)
    assert (found.rejected, found.video_s) == (Counter(dark=2), 3.5)


def test_nothing_is_kept_of_units_of_which_the_driver_knows() -> None:
    ledger = Ledger()
    ledger.begin(["a"])
    ledger.committed(["a"], Progress(units=1))
    assert ledger.snapshot(["a"])[0].units == 1
    assert not ledger.done
    assert not ledger.in_hand
    assert not ledger.clips


def test_every_sign_of_life_ends_a_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("infra.jobs.ledger.time", SimpleNamespace(monotonic=lambda: now_s))
    ledger = Ledger()
    signs: tuple[Callable[[], object], ...] = (
        lambda: ledger.started("all"),
        lambda: ledger.begin(["a"]),
        lambda: ledger.advance("a"),
        lambda: ledger.sign("a"),
        lambda: ledger.enter("a", "faces"),
        lambda: ledger.end(["a"]),
        lambda: ledger.committed(["a"], Progress()),
        lambda: ledger.forget(["b"]),
        lambda: ledger.note("halved"),
    )
    for sign in signs:
        now_s += 60.0
        assert silence(ledger).seconds == 60.0
        sign()
        assert silence(ledger).seconds == 0.0


def test_each_unit_in_hand_has_its_own_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("infra.jobs.ledger.time", SimpleNamespace(monotonic=lambda: now_s))
    ledger = Ledger()
    ledger.begin(["a"])
    now_s += 5.0
    ledger.begin(["b"])
    now_s += 2.0
    assert silence(ledger).in_hand == {"a": 7.0, "b": 2.0}
