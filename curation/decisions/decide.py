"""Deciding a whole index by other thresholds, from what it stores: the rules of the stages, asked about columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.clip.schema import Pool
from curation.decisions.steps import SOUND, Step, steps
from curation.pipeline import StagesConfig
from curation.rules.rule import Rule
from curation.shards.columns import numbers, strings
from curation.shards.versions import TO_COMPUTE, State
from curation.stages.sync import EXAMINED_SCORES, Examined, SoundJudge

RECORD: Final = (
    *("key", "source", "source_key", "parent_key", "pool", "shard", "start_s", "end_s", "shot_start_s", "shot_end_s"),
    *("kept", "reject_stage", "reject_rule", "reject_value", "reject_threshold"),
    *("audio_kept", "audio_reason", "audio_type"),
)
SOUND_COLUMNS: Final = (*EXAMINED_SCORES, "sync_verdict")
AFTER_SOUND: Final = "caption"
"""The stage from which on a clip is computed anew when what is heard of it changes: captions speak of it."""

Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


def columns_needed(config: StagesConfig) -> tuple[str, ...]:
    """The columns of the index that decisions need."""
    rules = [rule for step in steps(config) for rule in step.rules]
    limits = [limit for rule in rules for limit in (*rule.limits, *filter(None, [rule.unsettled]))]
    return tuple(dict.fromkeys([*RECORD, *SOUND_COLUMNS, *(limit.score for limit in limits)]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """What becomes of each row of an index."""

    table: pa.Table
    """The rows, as they were decided before."""
    state: npt.NDArray[np.object_]
    """`State` of each."""
    stage: npt.NDArray[np.object_]
    """The stage that rejects it, or from which on it is to be computed; None for a kept one."""
    rule: npt.NDArray[np.object_]
    value: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.float64]
    audio_reason: npt.NDArray[np.object_]
    """`stage/rule` that drops its sound; None where nothing does."""
    is_heard: Flags
    """Whether the sound of its shot is judged by it, among others."""

    def reasons(self) -> npt.NDArray[np.object_]:
        """`stage/rule` of the rows that are not kept; None of the others."""
        names = [f"{stage}/{rule}" if stage else None for stage, rule in zip(self.stage, self.rule, strict=True)]
        return np.array(names, object)


def decide_again(table: pa.Table, config: StagesConfig) -> Decided:
    """Decide every row.

    A row without the scores that a rule needs, because an earlier rule had rejected it, is to be computed.

    Args:
        table: rows of an index with `columns_needed`, all decided by settings that differ in thresholds alone.
        config: the thresholds now.
    """
    return _Deciding(table, config).decided()


class _Deciding:
    """The state of deciding a table."""

    def __init__(self, table: pa.Table, config: StagesConfig) -> None:
        self.table = table
        self.config = config
        self.steps = steps(config)
        self._numbers: dict[str, npt.NDArray[np.float64]] = {}
        self._texts: dict[str, npt.NDArray[np.object_]] = {}
        count = table.num_rows
        self.alive = np.ones(count, bool)
        self.state = np.full(count, State.KEPT, object)
        self.stage: npt.NDArray[np.object_] = np.full(count, None, object)
        self.rule: npt.NDArray[np.object_] = np.full(count, None, object)
        self.value = np.full(count, np.nan)
        self.threshold = np.full(count, np.nan)
        self.audio_reason = self.texts("audio_reason").copy()
        self.is_heard = np.zeros(count, bool)
        self.is_general = self.texts("pool") == Pool.GENERAL.value
        self.last, self.stands = steps_reached(table, self.steps)

    def decided(self) -> Decided:
        """Go through the steps in their order."""
        self._reject(self.stands & (self.last < 0))
        for number, step in enumerate(self.steps):
            self._compute(self.alive & (self.last < number), step.stage)
            if step.stage == SOUND:
                self._judge_sound()
            for rule in step.rules:
                self._ask(step, rule)
            self._reject(self.alive & self.stands & (self.last == number))
        self._compute_shots_together()
        return Decided(
            table=self.table,
            state=self.state,
            stage=self.stage,
            rule=self.rule,
            value=self.value,
            threshold=self.threshold,
            audio_reason=self.audio_reason,
            is_heard=self.is_heard,
        )

    def scores(self, name: str) -> npt.NDArray[np.float64]:
        """A column of numbers, as rules ask for it."""
        if name not in self._numbers:
            self._numbers[name] = numbers(self.table, name)
        return self._numbers[name]

    def texts(self, name: str) -> npt.NDArray[np.object_]:
        """A column of texts."""
        if name not in self._texts:
            self._texts[name] = strings(self.table, name)
        return self._texts[name]

    def _ask(self, step: Step, rule: Rule) -> None:
        if rule.unsettled is not None:
            self._compute(self.alive & rule.unsettled.is_passed(self.scores), step.stage)
        asked = self.alive & ~self.is_general if rule.humans_only else self.alive
        rejected = asked & rule.rejects(self.scores)
        self._end(rejected, State.REJECTED, step.stage, rule.name)
        if not rule.is_switch:
            self.value[rejected] = self.scores(rule.limits[0].score)[rejected]
            self.threshold[rejected] = rule.limits[0].threshold

    def _compute(self, rows: Flags, stage: str) -> None:
        self._end(rows, State.TO_COMPUTE, stage, TO_COMPUTE)

    def _reject(self, rows: Flags) -> None:
        """Let the decision of before stand."""
        for name, column in (("reject_stage", self.stage), ("reject_rule", self.rule)):
            column[rows] = self.texts(name)[rows]
        self.value[rows] = self.scores("reject_value")[rows]
        self.threshold[rows] = self.scores("reject_threshold")[rows]
        self.state[rows] = State.REJECTED
        self.alive &= ~rows

    def _end(self, rows: Flags, state: State, stage: str, rule: str) -> None:
        self.state[rows], self.stage[rows], self.rule[rows] = state, stage, rule
        self.value[rows] = self.threshold[rows] = np.nan
        self.alive &= ~rows

    def _judge_sound(self) -> None:
        """Judge the sound of the clips that are left; those of which something else is heard are to be computed."""
        judge = SoundJudge(self.config.sync)
        examined = examined_of(self.table, self.alive)
        self.is_heard[list(examined)] = True
        types, verdicts = self.texts("audio_type"), self.texts("sync_verdict")
        before, keys = self.texts("audio_reason"), self.texts("key")
        changed, unknown = np.zeros(len(keys), bool), np.zeros(len(keys), bool)
        for rows in self._shots(list(examined), crops_apart=True):
            if any(judge.is_open(examined[row]) for row in rows):
                unknown[rows] = True
                continue
            shot, _ = judge.judge_shot({keys[row]: examined[row] for row in rows})
            for row in rows:
                decision = judge.decide(examined[row], shot)
                reason = f"{decision.drop.stage}/{decision.drop.rule}" if decision.drop else None
                heard = (decision.audio_type.value, reason is None, judge.judge_alone(examined[row]).verdict.value)
                changed[row] = heard != (types[row], before[row] is None, verdicts[row])
                self.audio_reason[row] = reason
        self._compute(unknown, SOUND)
        self._compute(changed, AFTER_SOUND)

    def _compute_shots_together(self) -> None:
        """Where a clip joins those by which its shot's sound is judged, the verdict on all of them is open."""
        order = [step.stage for step in self.steps]
        before = order[: order.index(SOUND) + 1]
        joins = (self.state == State.TO_COMPUTE) & np.isin(self.stage, np.array(before, object))
        if not joins.any():
            return
        for rows in self._shots(np.flatnonzero(joins | self.is_heard), crops_apart=False):
            if joins[rows].any():
                heard = np.array([row for row in rows if self.is_heard[row] and not joins[row]], np.int64)
                flags = np.zeros(len(joins), bool)
                flags[heard] = True
                self._compute(flags, SOUND)

    def _shots(self, rows: Sequence[int] | Indices, *, crops_apart: bool) -> list[list[int]]:
        """Rows grouped by their shots; crops may show another face than the clips they were made from."""
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        sources, parents = self.texts("source_key"), self.texts("parent_key")
        starts, ends = self.scores("shot_start_s"), self.scores("shot_end_s")
        for row in rows:
            group = (sources[row], starts[row], ends[row], crops_apart and parents[row] is not None)
            groups[group].append(int(row))
        return list(groups.values())


def steps_reached(table: pa.Table, steps: Sequence[Step]) -> tuple[Indices, Flags]:
    """For each row the last step that it came to, and whether what rejected it there has no threshold.

    A row that was kept came beyond all steps; a source that failed before the first one, or in none, to step -1.
    """
    places: dict[tuple[str | None, str | None], tuple[int, bool]] = {}
    for number in reversed(range(len(steps))):
        places[steps[number].stage, None] = (number, True)
        places |= {(steps[number].stage, rule.name): (number, False) for rule in steps[number].rules}
    kept = table["kept"].to_numpy(zero_copy_only=False).astype(bool)
    last, stands = np.full(len(kept), len(steps), np.int64), np.zeros(len(kept), bool)
    for row, pair in enumerate(zip(strings(table, "reject_stage"), strings(table, "reject_rule"), strict=True)):
        if not kept[row]:
            last[row], stands[row] = places.get(pair) or places.get((pair[0], None)) or (-1, True)
    return last, stands


def examined_of(table: pa.Table, rows: Flags) -> dict[int, Examined]:
    """What is stored of the sound of some rows, by their numbers; those whose sound was not examined are left out."""
    there = np.flatnonzero(rows & ~np.isnan(numbers(table, "speech_fraction")))
    taken = table.take(pa.array(there))
    columns: Mapping[str, list[Any]] = {name: _values(taken, name) for name in EXAMINED_SCORES}
    found = {}
    for place, row in enumerate(there):
        examined = Examined.of({name: column[place] for name, column in columns.items()})
        assert examined is not None
        found[int(row)] = examined
    return found


def _values(table: pa.Table, name: str) -> list[Any]:
    if name not in table.column_names:
        return [None] * table.num_rows
    values: list[Any] = table[name].to_pylist()
    return values
