"""Taking in the files that reviewers hand back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.builder.build import Build
from bench.builder.candidates import NAMES, Candidate, SignOff, candidates, sign_offs
from bench.builder.ledger import Entry, Kind
from bench.pages.results import read_result


@dataclass(frozen=True, kw_only=True, slots=True)
class MergedDecisions:
    """The result of merging reviewers' files."""

    num_recorded: int
    num_known: int
    num_outdated: int
    """Decisions on samples that have changed since."""
    excluded: tuple[str, ...]
    """Files that do not count, and why."""
    conflicts: Mapping[str, SignOff]
    """Samples on which people disagree; they count as rejected."""

    @property
    def num_counted(self) -> int:
        """Decisions in the files that count."""
        return self.num_recorded + self.num_known + self.num_outdated


def merge_decisions(build: Build, paths: Iterable[Path]) -> MergedDecisions:
    """Record the decisions in result files. A file counts whole or not at all; each person's latest decision counts.

    Neither the order of files nor merging one of them twice makes a difference.
    """
    current = candidates(build)
    known = {_identity(entry) for entry in build.state.signed}
    recorded: list[Entry] = []
    excluded: list[str] = []
    num_known = num_outdated = 0
    for path in sorted(set(paths)):
        try:
            answers = list(_answers(read_result(path, "reviewer"), build.plan))
        except ValueError as error:
            excluded.append(f"{path.name}: {error}")
            continue
        for answer in answers:
            if _identity(answer) in known:
                num_known += 1
            elif _is_outdated(answer, current):
                num_outdated += 1
            else:
                known.add(_identity(answer))
                recorded.append(answer)
    if recorded:
        build.ledger.append(recorded)
    build.state.signed.extend(recorded)
    found = sign_offs(current, build.state.signed, build.spec.num_reviewers)
    return MergedDecisions(
        num_recorded=len(recorded),
        num_known=num_known,
        num_outdated=num_outdated,
        excluded=tuple(excluded),
        conflicts={id_: one for id_, one in found.items() if one.is_conflict},
    )


def _answers(document: Mapping[str, Any], plan: str) -> Iterator[Entry]:
    """The decisions of a file, as the ledger has them."""
    if document.get("form") != plan:
        raise ValueError(f"of another build ({document.get('form')!r} instead of {plan!r})")
    listed = document.get("answers")
    if not isinstance(listed, list) or not listed:
        raise ValueError("no answers")
    seen = set()
    for answer in listed:
        try:
            sample, content, decided = str(answer["sample"]), str(answer["content"]), str(answer["decided"])
            checks = dict(answer["checks"])
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"an answer has no {error}") from error
        if set(checks) != set(NAMES) or not all(isinstance(value, bool) for value in checks.values()):
            raise ValueError(f"{sample}: checks are {', '.join(NAMES)}, each true or false")
        if sample in seen:
            raise ValueError(f"{sample} is answered twice")
        seen.add(sample)
        told = {"reviewer": document["reviewer"], "checks": {name: checks[name] for name in NAMES}}
        data = {**told, "notes": str(answer.get("notes") or ""), "content": content, "decided": decided}
        yield Entry(kind=Kind.SIGNED, sample=sample, data=data)


def _is_outdated(answer: Entry, current: Mapping[str, Candidate]) -> bool:
    candidate = current.get(answer.sample)
    return candidate is None or candidate.content != answer.data["content"]


def _identity(entry: Entry) -> str:
    """A text that is equal for equal decisions, to recognise those recorded before."""
    return json.dumps([entry.sample, entry.data], sort_keys=True)
