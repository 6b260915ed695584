"""What a run decided about its sources and clips, to be compared with another run of the same."""

from __future__ import annotations

from typing import Any

from curation.shards.run_directory import RunDirectory

DECISION = ["key", "source_key", "kept", "reject_stage", "reject_rule", "start_s", "end_s", "audio_kept"]


def decisions(run: str) -> list[tuple[Any, ...]]:
    """The columns of `DECISION` of every row, sorted."""
    table = RunDirectory(run).index(DECISION)
    return sorted(tuple(row[name] for name in DECISION) for row in table.to_pylist())
