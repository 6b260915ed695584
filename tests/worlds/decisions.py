"""What a run decided, to be held against what another one did."""

from __future__ import annotations

from typing import Any

from curation.shards.run_directory import RunDirectory

DECISION = ["key", "source_key", "kept", "reject_stage", "reject_rule", "start_s", "end_s", "audio_kept"]


def decisions(run: str) -> list[tuple[Any, ...]]:
    """One entry a clip and a source, in an order that does not depend on the run."""
    table = RunDirectory(run).index(DECISION)
    return sorted(tuple(row[name] for name in DECISION) for row in table.to_pylist())
