"""What a training tells while it runs: averages over ranks and steps, as JSON lines and for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from training.ranks import Ranks


class Averages:
    """Weighted means of named values, over what was added on all ranks since the last look."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}

    def add(self, name: str, total: float, count: float = 1.0) -> None:
        """Add `count` values whose sum is `total`."""
        before, number = self._sums.get(name, (0.0, 0.0))
        self._sums[name] = (before + total, number + count)

    def merge(self, other: Averages) -> None:
        """Add another's values."""
        for name, (total, count) in other._sums.items():
            self.add(name, total, count)

    def collect(self, ranks: Ranks) -> dict[str, float]:
        """The means over all ranks, by name; begins anew. All ranks call it."""
        merged: dict[str, tuple[float, float]] = {}
        for part in ranks.gather(self._sums):
            for name, (total, count) in part.items():
                before, number = merged.get(name, (0.0, 0.0))
                merged[name] = (before + total, number + count)
        self._sums = {}
        return {name: total / count for name, (total, count) in sorted(merged.items()) if count}


class MetricsLog:
    """`metrics.jsonl` and TensorBoard's files in one folder; lines after the step gone on from are dropped.

    Args:
        folder: of the stage.
        first_step: the step that training goes on from: what was logged beyond it is not part of it.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "metrics.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
        kept = [line for line in lines if _step(line) is not None and (_step(line) or 0) <= first_step]
        if len(kept) != len(lines):
            path.write_text("".join(kept))
        self._file = path.open("a", buffering=1)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values of a step."""
        self._file.write(json.dumps({"step": step, **{name: round(value, 9) for name, value in values.items()}}) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Finish the files."""
        self._file.close()
        self._board.close()


def _step(line: str) -> int | None:
    """Step of a line; None for one that a crash cut short."""
    try:
        values: Any = json.loads(line)
        return int(values["step"])
    except (ValueError, KeyError, TypeError):
        return None
