"""Candidates for sign-off and publishing: approved samples and real cases, with people's decisions on each.

People make three checks of each sample (paper, Sec. 4.2, step 3).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from bench.builder.build import IMAGE, SOUND, Build
from bench.builder.ledger import Entry, Kind
from bench.builder.state import Attempt, Slot
from bench.builder.texts import Texts, public_texts


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A whole sample."""

    id: str
    texts: Mapping[str, Any]
    """Its JSON, in the fields of the public set."""
    image: Path
    image_content: str
    """Hash of the file, as it was written."""
    sound: Path
    sound_content: str
    provenance: Mapping[str, Any]
    """How the sample was made, or where it is from."""

    @property
    def content(self) -> str:
        """Sixteen hex digits of all that people are shown: a decision holds for this content only."""
        plain = json.dumps([self.texts, self.image_content, self.sound_content], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(plain.encode()).hexdigest()[:16]


def candidates(build: Build) -> dict[str, Candidate]:
    """All candidates by id: those of slots in order of the plan, then real cases."""
    made = [_made(build, slot, slot.approved) for slot in build.state.slots.values() if slot.approved is not None]
    real = [_real(build, id_, case) for id_, case in build.state.cases.items()]
    return {one.id: one for one in (*made, *real)}


def _made(build: Build, slot: Slot, attempt: Attempt) -> Candidate:
    id_, done = slot.brief.id, attempt.done
    texts = Texts(**done[Kind.WRITTEN]["texts"])
    told = {
        "kind": "generated",
        "brief": slot.brief.to_json(),
        "attempts": attempt.number,
        "failures": [str(failure) for failure in slot.failures],
        "writer": {name: done[Kind.WRITTEN][name] for name in ("model", "prompt_version")},
        "image": {
            "prompt": texts.image_prompt,
            **{name: done[Kind.PICTURED][name] for name in ("model", "size", "seed")},
        },
        "speech": {name: done[Kind.SPOKEN][name] for name in ("model", "voice", "duration_s", "sample_rate_hz")},
        "verdict": {name: done[Kind.JUDGED][name] for name in ("model", "prompt_version", "grades", "reason")},
    }
    return Candidate(
        id=id_,
        texts=public_texts(slot.brief, texts),
        image=build.directory.attempt_file(id_, attempt.number, IMAGE),
        image_content=done[Kind.PICTURED]["content"],
        sound=build.directory.attempt_file(id_, attempt.number, SOUND),
        sound_content=done[Kind.SPOKEN]["content"],
        provenance=told,
    )


def _real(build: Build, id_: str, case: Mapping[str, Any]) -> Candidate:
    return Candidate(
        id=id_,
        texts=case["texts"],
        image=build.directory.case_file(id_, IMAGE),
        image_content=case["image_content"],
        sound=build.directory.case_file(id_, SOUND),
        sound_content=case["sound_content"],
        provenance={"kind": "real", **case["provenance"]},
    )


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
    """The result of the decisions on a sample."""

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
        """Whether all checks are approved."""
        return all(self.checks.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class SignOff:
    """All decisions on a sample as it is now."""

    decisions: tuple[Decision, ...]
    """The latest of each person."""
    num_needed: int

    @property
    def standing(self) -> Standing:
        """Rejected after a single rejection; signed once `num_needed` people have approved."""
        if not all(decision.approves for decision in self.decisions):
            return Standing.REJECTED
        return Standing.SIGNED if len(self.decisions) >= self.num_needed else Standing.OPEN

    @property
    def is_conflict(self) -> bool:
        """Whether people disagree."""
        return len({decision.approves for decision in self.decisions}) > 1

    def __str__(self) -> str:
        return "; ".join(_told(decision) for decision in self.decisions)


def sign_offs(shown: Mapping[str, Candidate], signed: Iterable[Entry], num_reviewers: int) -> dict[str, SignOff]:
    """The sign-off of each candidate; only the latest decision of each person counts.

    Decisions on samples that have changed since do not count.
    """
    found: dict[str, dict[str, Decision]] = {id_: {} for id_ in shown}
    for entry in sorted(signed, key=lambda one: str(one.data["decided"])):
        candidate = shown.get(entry.sample)
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
