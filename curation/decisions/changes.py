"""What other thresholds change: which clips change sides and by which rule, what becomes of sound, hours, examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curation.decisions.decide import Decided
from curation.shards.columns import numbers, strings
from curation.shards.versions import State


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """A side of the comparison."""

    kept: int
    """Clips."""
    kept_s: float
    """Their seconds; crops, which show the same time again, are not counted."""
    rejected: int
    """Clips, and sources that have none."""
    to_compute: int
    """Clips, and whole sources, of which nothing can be said before the next run."""
    rules: Mapping[str, int]
    """Rows by the `stage/rule` that rejects them."""
    sound: Mapping[str, int]
    """Kept clips by the `stage/rule` that drops their sound; `kept` for those that have it."""


@dataclass(frozen=True, slots=True)
class Example:
    """One row that changes sides."""

    key: str
    before: str
    """`kept`, or the `stage/rule` that rejected it."""
    now: str
    """`kept`, the `stage/rule`, or the stage from which on it is to be computed."""
    value: float | None
    threshold: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What becomes of a run."""

    before: Totals
    now: Totals
    moves: Mapping[tuple[str, str], tuple[Example, ...]]
    """Every row that changes sides, by where from and where to; most frequent first."""
    sound_moves: Mapping[tuple[str, str], int]
    """Clips whose sound is decided otherwise, by the rule before and the rule now."""


def changes(decided: Decided) -> Changes:
    """Compare a decision with what the index says."""
    table = decided.table
    kept = table["kept"].to_numpy(zero_copy_only=False).astype(bool)
    pairs = zip(strings(table, "reject_stage"), strings(table, "reject_rule"), strict=True)
    reasons = np.array([f"{stage}/{rule}" if stage else State.KEPT.value for stage, rule in pairs], object)
    now = np.where(decided.state == State.KEPT, State.KEPT.value, decided.reasons())
    sound_before, sound_now = (
        np.array([reason or "kept" for reason in column], object)
        for column in (strings(table, "audio_reason"), decided.audio_reason)
    )
    both = decided.is_heard & ~np.isnan(numbers(table, "speech_fraction"))
    seconds = numbers(table, "end_s") - numbers(table, "start_s")
    seconds[np.array([parent is not None for parent in strings(table, "parent_key")], bool)] = 0.0
    state_before = np.where(kept, State.KEPT, State.REJECTED).astype(object)
    return Changes(
        before=_totals(state_before, reasons, sound_before, seconds),
        now=_totals(decided.state, now, sound_now, seconds),
        moves=_moves(decided, reasons, now),
        sound_moves=dict(
            Counter(
                pair for pair in zip(sound_before[both], sound_now[both], strict=True) if pair[0] != pair[1]
            ).most_common()
        ),
    )


def _totals(
    state: npt.NDArray[np.object_],
    reasons: npt.NDArray[np.object_],
    sound: npt.NDArray[np.object_],
    seconds: npt.NDArray[np.float64],
) -> Totals:
    kept = state == State.KEPT
    return Totals(
        kept=int(kept.sum()),
        kept_s=float(np.nansum(seconds[kept])),
        rejected=int((state == State.REJECTED).sum()),
        to_compute=int((state == State.TO_COMPUTE).sum()),
        rules=dict(Counter(reasons[state == State.REJECTED]).most_common()),
        sound=dict(Counter(sound[kept]).most_common()),
    )


def _moves(
    decided: Decided, before: npt.NDArray[np.object_], now: npt.NDArray[np.object_]
) -> dict[tuple[str, str], tuple[Example, ...]]:
    found: dict[tuple[str, str], list[Example]] = {}
    keys = strings(decided.table, "key")
    for row in np.flatnonzero(before != now):
        value, threshold = (None if np.isnan(x[row]) else float(x[row]) for x in (decided.value, decided.threshold))
        example = Example(keys[row], before[row], now[row], value, threshold)
        found.setdefault((before[row], now[row]), []).append(example)
    ordered = sorted(found.items(), key=lambda move: -len(move[1]))
    return {move: tuple(examples) for move, examples in ordered}
