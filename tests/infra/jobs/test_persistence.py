"""Work that is tried again while the machine is at fault."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest

from infra.jobs import persistence
from infra.jobs.machine_fault import MachineFaultError
from infra.jobs.persistence import persistently

BUSY = OSError(errno.EBUSY, "please reduce your request rate")


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(persistence, "time", SimpleNamespace(sleep=clock.sleep, monotonic=clock.monotonic))
    return clock


class Work:
    """Raises one error after the other, and then returns."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.num_tries = 0

    def __call__(self) -> str:
        self.num_tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_a_store_that_recovers_is_waited_for_with_pauses_that_grow(clock: Clock) -> None:
    work = Work(*[BUSY] * 6)
    assert persistently(work, 60.0) == "done"
    assert 0.5 * (0.5 + 1 + 2 + 4 + 8 + 16) <= clock.now_s <= 0.5 + 1 + 2 + 4 + 8 + 16


def test_a_fault_that_persists_is_the_machines(clock: Clock) -> None:
    work = Work(*[BUSY] * 1000)
    with pytest.raises(MachineFaultError, match=r"\Athe store throttles\Z") as told:
        persistently(work, 60.0)
    assert 60.0 <= clock.now_s <= 61.0
    assert not told.value.is_for_all
    assert work.num_tries > 5


def test_a_full_disk_is_everybodys_and_named() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/scratch/inputs")
    with pytest.raises(MachineFaultError, match=r"\Ano space left for /scratch/inputs\Z") as told:
        persistently(Work(full), 0.0)
    assert told.value.is_for_all


@pytest.mark.parametrize("error", [ValueError("a bug"), FileNotFoundError(errno.ENOENT, "gone")])
def test_what_is_no_fault_of_the_machine_is_not_tried_again(clock: Clock, error: Exception) -> None:
    work = Work(error)
    with pytest.raises(type(error)):
        persistently(work, 60.0)
    assert (work.num_tries, clock.now_s) == (1, 0.0)


def test_who_has_been_patient_already_is_not_waited_for_again(clock: Clock) -> None:
    work = Work(MachineFaultError("captioner: no answer for 600 s"))
    with pytest.raises(MachineFaultError, match="captioner"):
        persistently(work, 60.0)
    assert work.num_tries == 1


def test_a_fault_is_the_same_wherever_it_is_unpickled() -> None:
    import pickle  # noqa: PLC0415 (of no use to the other tests)

    error = pickle.loads(pickle.dumps(MachineFaultError("no space left", is_for_all=True)))
    assert (str(error), error.is_for_all) == ("no space left", True)
