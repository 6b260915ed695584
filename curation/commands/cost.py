"""What a second of video has cost a worker so far, by what is committed."""

from __future__ import annotations

import json
from collections import Counter
from typing import Final

import pyarrow as pa

COST_COLUMNS: Final = ("source_key", "source_duration_s", "stage_seconds")
"""Columns of the index that are measured."""


def stage_cost(rows: pa.Table) -> dict[str, float]:
    """Wall seconds of a worker that a second of video has taken so far, by stage; empty before anything is committed.

    They are not CPU seconds: a stage may use several cores, or wait for a disk or a GPU.

    Args:
        rows: of the index, with `COST_COLUMNS`.
    """
    if not rows.num_rows:
        return {}
    # All clips of a unit say the same.
    numbered = rows.select(COST_COLUMNS).group_by("source_key", use_threads=False)
    units = numbered.aggregate([("source_duration_s", "max"), ("stage_seconds", "max")])
    video_s = sum(seconds or 0.0 for seconds in units["source_duration_s_max"].to_pylist())
    spent: Counter[str] = Counter()
    for seconds in units["stage_seconds_max"]:
        spent.update(json.loads(seconds.as_py() or "{}"))
    return {stage: seconds / video_s for stage, seconds in spent.items()} if video_s > 0 else {}
