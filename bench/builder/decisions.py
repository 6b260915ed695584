"""People's decisions (paper, Sec. 4.2, step 3): three checks a sample, and what several people's answers come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bench.builder.candidates import Candidate
from bench.builder.ledger import Entry


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What a person approves or rejects."""

    name: str
    title: str
    text: str


CHECKS: Final = (
    Check(
        name="image",
        title="Image fidelity",
        text="Free of artefacts: face, hands, limbs, lettering; one subject whose mouth can be seen.",
    ),
    Check(
        name="audio",
        title="Audio quality",
        text="Clear, natural, without noise or cuts; it says what the message says, in a voice that fits.",
    ),
    Check(
        name="text",
        title="Reasonableness of the scene text",
        text="It agrees with the image, could happen in one shot, and both languages say the same.",
    ),
)
NAMES: Final = tuple(check.name for check in CHECKS)


class Standing(StrEnum):
    """What decisions on a sample come to."""

    SIGNED = "signed"
    REJECTED = "rejected"
    OPEN = "open"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One person's answer about one sample."""

    reviewer: str
    checks: Mapping[str, bool]
    """By name; True approves."""
    notes: str = ""

    @property
    def approves(self) -> bool:
        """Whether all checks do."""
        return all(self.checks.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class SignOff:
    """All decisions on a sample as it is now."""

    decisions: tuple[Decision, ...]
    """The latest of each person."""
    num_needed: int

    @property
    def standing(self) -> Standing:
        """One rejection is enough against a sample; for it, `num_needed` people."""
        if not all(decision.approves for decision in self.decisions):
            return Standing.REJECTED
        return Standing.SIGNED if len(self.decisions) >= self.num_needed else Standing.OPEN

    @property
    def is_conflict(self) -> bool:
        """Whether people disagree."""
        return len({decision.approves for decision in self.decisions}) > 1

    def __str__(self) -> str:
        return "; ".join(_told(decision) for decision in self.decisions)


def sign_offs(candidates: Mapping[str, Candidate], signed: Iterable[Entry], num_reviewers: int) -> dict[str, SignOff]:
    """Where each candidate stands; of one person the latest decision holds.

    Decisions on what has changed since do not count.
    """
    found: dict[str, dict[str, Decision]] = {id_: {} for id_ in candidates}
    for entry in sorted(signed, key=lambda one: str(one.data["decided"])):
        candidate = candidates.get(entry.sample)
        if candidate is not None and entry.data["content"] == candidate.content:
            told = {name: entry.data[name] for name in ("reviewer", "checks", "notes")}
            found[entry.sample][entry.data["reviewer"]] = Decision(**told)
    return {
        id_: SignOff(decisions=tuple(by_person.values()), num_needed=num_reviewers) for id_, by_person in found.items()
    }


def _told(decision: Decision) -> str:
    against = ", ".join(name for name in NAMES if not decision.checks[name])
    notes = f" ({decision.notes})" if decision.notes else ""
    return f"{decision.reviewer} {f'rejects {against}' if against else 'approves'}{notes}"
