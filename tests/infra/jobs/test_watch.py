"""When a run on Ray is broken off from outside."""

from __future__ import annotations

import pytest

from infra.jobs.placement import ExecutionConfig, PoolConfig
from infra.jobs.progress import Silence
from infra.jobs.watch import complaint_of

LIMITS = ExecutionConfig(start_timeout_s=60.0, unit_timeout_s=600.0)
POOLS = (PoolConfig(name="cuts", stages=("scenes", "split")), PoolConfig(name="looks", stages=("quality",)))


def silence(seconds: float, *, in_hand: tuple[str, ...] = (), ready: tuple[str, ...] = ()) -> Silence:
    return Silence(seconds=seconds, in_hand=dict.fromkeys(in_hand, 0.0), ready=frozenset(ready))


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
