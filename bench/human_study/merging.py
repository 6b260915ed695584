"""Merging result files: whose ratings count, and why others do not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.human_study.kit import Key
from bench.human_study.questions import QUESTIONS, SCALE
from bench.pages.results import read_result

NAMES: Final = tuple(question.name for question in QUESTIONS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rating:
    """One person's answers about one video."""

    rater: str
    trial: str
    values: Mapping[str, int]
    """By question."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Excluded:
    """A file that does not count."""

    file: str
    rater: str
    """Empty where the file does not name the rater."""
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratings:
    """All ratings that count."""

    raters: tuple[str, ...]
    ratings: tuple[Rating, ...]
    """Without attention checks."""
    num_skipped: int
    """Videos that would not play for someone."""
    excluded: tuple[Excluded, ...]


def merge_results(paths: Iterable[Path], key: Key) -> Ratings:
    """Read result files. Broken ones, those of another study and second files of a rater are excluded and listed.

    So is a rater who answers an attention check wrongly, or answers none although the study has some.
    """
    raters: dict[str, list[Rating]] = {}
    excluded: list[Excluded] = []
    num_skipped = 0
    for path in sorted(paths):
        name = ""
        try:
            document = read_result(path, "rater")
            name = document["rater"]
            answers = _answers(document, key)
            _check(answers, key, is_known=name in raters)
        except ValueError as error:
            excluded.append(Excluded(file=path.name, rater=name, why=str(error)))
            continue
        checks = {trial.id for trial in key.trials if trial.method is None}
        given = {trial: values for trial, values in answers.items() if trial not in checks}
        num_skipped += sum(values is None for values in given.values())
        raters[name] = [Rating(rater=name, trial=one, values=values) for one, values in given.items() if values]
    ratings = tuple(rating for found in raters.values() for rating in found)
    return Ratings(raters=tuple(raters), ratings=ratings, num_skipped=num_skipped, excluded=tuple(excluded))


def _answers(document: Mapping[str, Any], key: Key) -> dict[str, dict[str, int] | None]:
    """Trial → values, None where the video would not play."""
    if document.get("study") != key.study:
        raise ValueError(f"of another study ({document.get('study')!r} instead of {key.study!r})")
    known = {trial.id for trial in key.trials}
    found: dict[str, dict[str, int] | None] = {}
    listed = document.get("answers")
    for answer in listed if isinstance(listed, list) else []:
        trial = answer.get("trial") if isinstance(answer, dict) else None
        if trial not in known or trial in found:
            raise ValueError(f"an answer to an unknown or repeated trial ({trial!r})")
        found[str(trial)] = _values(answer.get("ratings"), str(trial))
    if not found:
        raise ValueError("no answers")
    return found


def _values(ratings: Any, trial: str) -> dict[str, int] | None:
    if ratings is None:
        return None
    is_whole = isinstance(ratings, dict) and set(ratings) == set(NAMES)
    if not is_whole or any(isinstance(one, bool) or one not in SCALE for one in ratings.values()):
        raise ValueError(f"trial {trial}: ratings are {', '.join(NAMES)}, each from {SCALE[0]} to {SCALE[-1]}")
    return {name: int(ratings[name]) for name in NAMES}


def _check(answers: Mapping[str, Mapping[str, int] | None], key: Key, *, is_known: bool) -> None:
    if is_known:
        raise ValueError("a second file of this rater")
    checks = {trial.id: trial.expected for trial in key.trials if trial.method is None}
    met = {trial: values for trial in checks if (values := answers.get(trial)) is not None}
    wrong = [trial for trial, values in met.items() if any(one != checks[trial] for one in values.values())]
    if wrong:
        raise ValueError(f"failed {len(wrong)} of {len(met)} attention checks")
    if checks and not met:
        raise ValueError("answered no attention check")
