"""When a run on Ray is broken off from outside."""

from __future__ import annotations

import pytest

from infra.jobs.ledger import Ledger, Progress, Silence
from infra.jobs.placement import ExecutionConfig, PoolConfig
from infra.jobs.watch import complaint_of

LIMITS = ExecutionConfig(start_timeout_s=60.0, unit_timeout_s=600.0)
POOLS = (PoolConfig(name="cuts", stages=("scenes", "split")), PoolConfig(name="looks", stages=("quality",)))


def silence(seconds: float, *, in_hand: tuple[str, ...] = (), ready: tuple[str, ...] = ()) -> Silence:
    return Silence(seconds=seconds, in_hand=in_hand, ready=frozenset(ready))


def test_a_pool_that_does_not_start_is_named_with_what_it_loads() -> None:
    assert complaint_of(silence(59.0), LIMITS, POOLS) is None
    complaint = complaint_of(silence(61.0), LIMITS, POOLS)
    assert complaint is not None
    assert "no worker of pool 'cuts' has started within 60 s; it was loading scenes, split" in complaint
    complaint = complaint_of(silence(61.0, ready=("cuts",)), LIMITS, POOLS)
    assert complaint is not None
    assert "pool 'looks' has started within 60 s; it was loading quality" in complaint


def test_a_unit_in_work_has_its_own_time_and_then_that_of_another_start() -> None:
    assert complaint_of(silence(659.0, in_hand=("a.mp4",)), LIMITS, POOLS) is None
    complaint = complaint_of(silence(661.0, in_hand=("a", "b", "c", "d"), ready=("cuts", "looks")), LIMITS, POOLS)
    assert complaint is not None
    assert complaint.startswith("nothing has happened for 660 s with a, b, c, … in work; ")


@pytest.mark.parametrize("ready", [(), ("cuts", "looks")])
def test_a_complaint_is_one_line_that_says_where_to_look(ready: tuple[str, ...]) -> None:
    complaint = complaint_of(silence(61.0, ready=ready), LIMITS, POOLS)
    assert complaint is not None
    assert "\n" not in complaint
    assert "/ray/session_latest/logs" in complaint


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
