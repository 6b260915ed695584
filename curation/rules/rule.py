"""A rule is a description, so that there is one of each: a stage asks it about one clip, `decide` about a whole index,
and the report's page about what it shows.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from curation.clip.schema import Clip, Decision, Pool, Score, Source

Beyond = Literal["<", "<=", ">", ">="]
COMPARISONS: Final[Mapping[Beyond, Callable[[Any, Any], Any]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Scores = Callable[[str], Any]
"""The scores of a name: a float of one clip, or an array with one entry for each. NaN is no score, and beyond nothing.
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """A comparison of a stored score with a threshold."""

    score: str
    """Name of the score, as in the index."""
    beyond: Beyond
    """Where the score has to be, seen from the threshold, to be beyond it."""
    threshold: float
    setting: str = ""
    """Field of the stage's configuration that gives the threshold; empty where it is fixed."""

    def is_passed(self, scores: Scores) -> Any:
        """Whether the score is beyond the threshold: of one clip, or of each."""
        return COMPARISONS[self.beyond](scores(self.score), self.threshold)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Rejects where all of its limits are passed. The score and the threshold of the first one are told."""

    name: str
    limits: tuple[Limit, ...]
    humans_only: bool = False
    """Whether clips of the general pool are let pass."""
    is_switch: bool = False
    """Whether its setting is on or off, so that there are no numbers to tell."""
    unsettled: Limit | None = None
    """Where this is passed the scores that are there do not suffice: more has to be measured first."""

    def rejects(self, scores: Scores) -> Any:
        """Whether the rule rejects: one clip, or each."""
        rejected = self.limits[0].is_passed(scores)
        for limit in self.limits[1:]:
            rejected = rejected & limit.is_passed(scores)
        return rejected

    @property
    def threshold(self) -> float | None:
        """The threshold that is told."""
        return None if self.is_switch else self.limits[0].threshold


def scores_of(scores: Mapping[str, Score]) -> Callable[[str], float]:
    """The scores of one clip or source as rules ask for them."""

    def score(name: str) -> float:
        value = scores.get(name)
        assert not isinstance(value, str | tuple), f"{name} cannot be compared"
        return math.nan if value is None else float(value)

    return score


def first_to_reject(rules: Sequence[Rule], stage: str, pool: Pool, scores: Mapping[str, Score]) -> Decision | None:
    """The decision of the first of a stage's rules that rejects; None when none does."""
    score = scores_of(scores)
    for rule in rules:
        if not (rule.humans_only and pool is Pool.GENERAL) and rule.rejects(score):
            value = None if rule.is_switch else score(rule.limits[0].score)
            return Decision(stage=stage, rule=rule.name, value=value, threshold=rule.threshold)
    return None


def decide_clip(clip: Clip, stage: str, rules: Sequence[Rule]) -> Clip:
    """The clip, rejected by the first of the stage's rules that its scores break."""
    decision = first_to_reject(rules, stage, clip.pool, clip.scores)
    return clip if decision is None else clip.reject(stage, decision.rule, decision.value, decision.threshold)


def decide_source(source: Source, stage: str, rules: Sequence[Rule]) -> Source:
    """The source, rejected as a whole by the first of the stage's rules that its scores break."""
    decision = first_to_reject(rules, stage, source.pool, source.scores)
    return source if decision is None else source.reject(stage, decision.rule, decision.value, decision.threshold)
