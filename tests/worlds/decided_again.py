"""Decisions made again, to be compared with those of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.decisions.decide import Decided
from curation.decisions.steps import SOUND
from curation.pipeline import STAGES
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import OVERLAID, State

DECIDED = tuple(name for name in OVERLAID if name != "duplicate_of")
"""Columns of a decision by thresholds; which clip a duplicate stands behind is no such."""
EARLY = tuple(STAGES)[: tuple(STAGES).index(SOUND)]
"""Stages before sound: what a clip's row said of its sound is not undone by an earlier rejection."""


def outcome(row: dict[str, Any]) -> tuple[Any, ...]:
    """The decision of a row; what is said of the sound of clips that never came to it means nothing."""
    return tuple(row[name] for name in DECIDED)


def rows_of(run: RunDirectory) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in run.index(["key", *DECIDED]).to_pylist()}


def outcomes(decided: Decided) -> dict[str, tuple[Any, ...]]:
    """The decisions of the rows about which everything is known."""
    found = {}
    kept_audio = decided.table["audio_kept"].to_pylist()
    for row, key in enumerate(decided.table["key"].to_pylist()):
        if decided.state[row] != State.TO_COMPUTE:
            kept = decided.state[row] == State.KEPT
            numbers = [None if np.isnan(x[row]) else float(x[row]) for x in (decided.value, decided.threshold)]
            sound = (kept and bool(kept_audio[row]), decided.audio_reason[row])
            found[key] = (kept, decided.stage[row], decided.rule[row], *numbers, *sound)
    return found


def compare(decided: Decided, truth: dict[str, tuple[Any, ...]]) -> None:
    """Every row that is decided is decided as in the run; a source that the run rejects whole has no clips in it."""
    units = dict(zip(decided.table["key"].to_pylist(), decided.table["source_key"].to_pylist(), strict=True))
    for key, found in outcomes(decided).items():
        expected = truth.get(key) or truth.get(units[key])
        assert expected is not None or found[1] is not None, key
        if expected is None:
            # A crop is not made of a clip that the run rejects before: it is rejected by what its parent is.
            parent = truth[key.removesuffix("-crop")]
            assert key.endswith("-crop")
            assert found[:3] == parent[:3]
        elif key in truth and found[1] not in EARLY:
            assert found == expected, key
        else:
            assert found[:5] == expected[:5], key
