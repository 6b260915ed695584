"""Units in one process, and those that must be alone there."""

from __future__ import annotations

import threading

import pytest

from infra.jobs.company import Company

WAIT_S = 10.0


class Unit:
    """Is in work in a thread until it is let go."""

    def __init__(self, company: Company, *, alone: bool) -> None:
        self.entered, self._go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, args=(company, alone), daemon=True)
        self._thread.start()

    def _work(self, company: Company, alone: bool) -> None:
        with company.joined(alone=alone):
            self.entered.set()
            self._go.wait(WAIT_S)

    def is_in(self, *, soon: bool) -> bool:
        return self.entered.wait(WAIT_S if soon else 0.05)

    def leave(self) -> None:
        self._go.set()
        self._thread.join(WAIT_S)


def test_units_work_beside_each_other_and_one_that_must_be_alone_waits_for_them_and_they_for_it() -> None:
    company = Company()
    first, second = Unit(company, alone=False), Unit(company, alone=False)
    assert first.is_in(soon=True)
    assert second.is_in(soon=True)
    lone = Unit(company, alone=True)
    assert not lone.is_in(soon=False)
    late = Unit(company, alone=False)
    assert not late.is_in(soon=False), "else the lone one would never have its turn"
    first.leave()
    assert not lone.is_in(soon=False)
    second.leave()
    assert lone.is_in(soon=True)
    other = Unit(company, alone=True)
    assert not other.is_in(soon=False)
    lone.leave()
    assert other.is_in(soon=True)
    assert not late.is_in(soon=False)
    other.leave()
    assert late.is_in(soon=True)
    late.leave()


def test_a_unit_that_fails_leaves_too() -> None:
    company = Company()
    for alone in (True, False):
        with pytest.raises(ZeroDivisionError), company.joined(alone=alone):
            _ = 1 / 0
    lone = Unit(company, alone=True)
    assert lone.is_in(soon=True)
    lone.leave()
