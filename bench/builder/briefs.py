"""Turning shares into briefs, which say what each sample is to be about. Equal specs give equal briefs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.builder.shares import CATEGORIES, LANGUAGES, SUBJECTS, Weights, counts, size, span
from bench.builder.spec import BuildSpec

PEOPLE: Final = frozenset({"human", "animation"})
APPLIES: Final = {
    "gender": PEOPLE,
    "age": PEOPLE,
    "accessories": PEOPLE,
    "human_style": frozenset({"human"}),
    "animation_style": frozenset({"animation"}),
    "animal_style": frozenset({"animal"}),
}
"""Dimension → the subjects that it applies to; dimensions not named here apply to all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Brief:
    """What one sample is to be about."""

    number: int
    """From 1."""
    subject: str
    mode: str
    language: str
    gender: str
    age: str
    """A band in years; empty for animals."""
    shot: str
    style: str
    accessories: str
    """Empty for animals."""
    environment: str
    objects: str
    duration_s: tuple[float, float]
    """Span that the speech may last."""
    aim_s: float
    """Duration that the message is written for, within that span."""
    prompt_words: tuple[float, float]
    size: tuple[int, int]
    """Width and height in pixels."""

    @property
    def category(self) -> str:
        """The category as ids spell it."""
        return CATEGORIES[self.subject]

    @property
    def id(self) -> str:
        """Id of the sample, in the spelling of the public set."""
        return sample_id(self.number, self.category, self.mode, self.language, self.gender)

    @property
    def speaking_language(self) -> str:
        """The language as the public JSON spells it."""
        return LANGUAGES[self.language]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


def sample_id(number: int, category: str, mode: str, language: str, gender: str) -> str:
    """`NNNN_category_mode_language_gender`."""
    return f"{number:04d}_{category}_{mode}_{language}_{gender}"


def plan(spec: BuildSpec) -> tuple[Brief, ...]:
    """One brief for each slot. In each dimension the counts equal the shares, rounded by largest remainder.

    The values of different dimensions are assigned independently of each other.
    """
    shares = {field.name: getattr(spec.shares, field.name) for field in dataclasses.fields(spec.shares)}
    subjects = _deal(shares.pop("subject"), spec.target, f"{spec.seed} subject")
    slots: list[dict[str, str]] = [{"subject": subject} for subject in subjects]
    for name, weights in shares.items():
        about = [slot for slot in slots if slot["subject"] in APPLIES.get(name, SUBJECTS)]
        for slot, value in zip(about, _deal(weights, len(about), f"{spec.seed} {name}"), strict=True):
            slot[name] = value
    return tuple(_brief(number, slot, spec.seed) for number, slot in enumerate(slots, start=1))


def fingerprint(briefs: Sequence[Brief]) -> str:
    """Twelve hex digits that change when any brief changes: a build goes on only with the plan that it began with."""
    plain = json.dumps([brief.to_json() for brief in briefs], sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:12]


def tally(briefs: Sequence[Brief]) -> dict[str, Counter[str]]:
    """How often each value occurs, by dimension; spans and sizes as the spec writes them."""
    found: dict[str, Counter[str]] = {}
    for brief in briefs:
        for name, value in _shown(brief).items():
            if value:
                found.setdefault(name, Counter())[value] += 1
    return found


def _shown(brief: Brief) -> Mapping[str, str]:
    plain = brief.to_json()
    for name in ("number", "aim_s"):
        del plain[name]
    for name in ("duration_s", "prompt_words"):
        plain[name] = "-".join(f"{end:g}" for end in plain[name])
    return {**plain, "size": "x".join(map(str, brief.size))}


def _deal(weights: Weights, num: int, seed: str) -> list[str]:
    values = [value for value, count in counts(weights, num).items() for _ in range(count)]
    random.Random(seed).shuffle(values)
    return values


def _brief(number: int, slot: Mapping[str, str], seed: int) -> Brief:
    low, high = span(slot["duration_s"])
    return Brief(
        number=number,
        subject=slot["subject"],
        mode=slot["mode"],
        language=slot["language"],
        gender=slot.get("gender", "unknown"),
        age=slot.get("age", ""),
        shot=slot["shot"],
        style=slot[f"{slot['subject']}_style"],
        accessories=slot.get("accessories", ""),
        environment=slot["environment"],
        objects=slot["objects"],
        duration_s=(low, high),
        # Speech rates differ: a message written for the edge of a span would often last too short or too long.
        aim_s=round(low + (high - low) * random.Random(f"{seed} {number} aim").uniform(0.25, 0.75), 1),
        prompt_words=span(slot["prompt_words"]),
        size=size(slot["size"]),
    )
