"""The state of a build: its ledger read into slots with their attempts, real cases and decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.builder.briefs import Brief
from bench.builder.ledger import Entry, Kind
from bench.builder.texts import AttemptFailure

STEPS: Final = {
    Kind.WRITTEN: "writing",
    Kind.SPOKEN: "speech",
    Kind.PICTURED: "image",
    Kind.JUDGED: "verdict",
}
"""Steps of an attempt, in order; sound comes before the image because it costs less and fails more often."""


@dataclass(kw_only=True, slots=True)
class Attempt:
    """One try at a slot."""

    number: int
    """From 1."""
    done: dict[Kind, Mapping[str, Any]] = field(default_factory=dict)
    """Finished steps, with what came of them."""
    failure: AttemptFailure | None = None

    @property
    def is_approved(self) -> bool:
        """Whether the second model approved it."""
        return self.failure is None and Kind.JUDGED in self.done


@dataclass(kw_only=True, slots=True)
class Slot:
    """One sample to be made, and the attempts at it."""

    brief: Brief
    attempts: list[Attempt] = field(default_factory=list)
    last_silence: str = ""
    """Step and problem of the latest request without an answer since the last finished step."""

    @property
    def approved(self) -> Attempt | None:
        """The attempt that the second model approved."""
        return self.attempts[-1] if self.attempts and self.attempts[-1].is_approved else None

    @property
    def failures(self) -> list[AttemptFailure]:
        """Of the attempts so far."""
        return [attempt.failure for attempt in self.attempts if attempt.failure is not None]

    def gave_up(self, max_attempts: int) -> bool:
        """Whether it has failed as often as it may."""
        return len(self.failures) >= max_attempts

    def is_open(self, max_attempts: int) -> bool:
        """Whether there is something left to do."""
        return self.approved is None and not self.gave_up(max_attempts)

    @property
    def current(self) -> Attempt:
        """The attempt to go on with; a new one after a failure."""
        if not self.attempts or self.attempts[-1].failure is not None:
            return Attempt(number=len(self.attempts) + 1)
        return self.attempts[-1]

    def note(self, entry: Entry) -> None:
        """Take in an entry about this slot."""
        if entry.kind is Kind.SILENT:
            self.last_silence = f"{entry.data['step']}: {entry.data['problem']}"
            return
        attempt = self.current
        if not self.attempts or self.attempts[-1] is not attempt:
            self.attempts.append(attempt)
        self.last_silence = ""
        if entry.kind is Kind.FAILED:
            attempt.failure = AttemptFailure(**entry.data)
            return
        attempt.done[entry.kind] = entry.data
        if entry.kind is Kind.JUDGED and not entry.data["passed"]:
            attempt.failure = AttemptFailure(step=STEPS[Kind.JUDGED], reason="rejected", detail=entry.data["reason"])


@dataclass(kw_only=True, slots=True)
class State:
    """A build as its ledger describes it."""

    slots: dict[str, Slot]
    """By id, in order of the plan."""
    cases: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Real cases by id, as they were added."""
    signed: list[Entry] = field(default_factory=list)
    """People's decisions, in the order in which they were recorded."""

    def approved(self) -> list[Slot]:
        """Slots with an attempt that the second model approved."""
        return [slot for slot in self.slots.values() if slot.approved is not None]

    def given_up(self, max_attempts: int) -> list[Slot]:
        """Slots that failed as often as they may."""
        return [slot for slot in self.slots.values() if slot.approved is None and slot.gave_up(max_attempts)]

    def open(self, max_attempts: int) -> list[Slot]:
        """Slots with something left to do."""
        return [slot for slot in self.slots.values() if slot.is_open(max_attempts)]

    def reasons(self) -> Counter[str]:
        """How often attempts failed, by step and reason."""
        return Counter(f"{failure.step}: {failure.reason}" for slot in self.slots.values() for failure in slot.failures)


def read_state(briefs: Sequence[Brief], plan: str, entries: Iterable[Entry]) -> State:
    """The state of a build.

    Args:
        briefs: of its plan.
        plan: fingerprint of the plan.
        entries: of the build's ledger.

    Raises:
        ValueError: the ledger is of another plan.
    """
    state = State(slots={brief.id: Slot(brief=brief) for brief in briefs})
    for entry in entries:
        if entry.kind is Kind.PLANNED:
            if entry.data["plan"] != plan:
                raise ValueError(
                    "the spec's plan is not the one that this build began with: "
                    "target, seed and shares must stay; build the new plan in a directory of its own"
                )
        elif entry.kind is Kind.ADDED:
            state.cases[entry.sample] = entry.data
        elif entry.kind is Kind.SIGNED:
            state.signed.append(entry)
        else:
            state.slots[entry.sample].note(entry)
    return state
