"""The log of a training as JSON, one line for each step that is logged."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from infra.storage.files import naming, write_atomically

METRICS_FILE: Final = "metrics.jsonl"


class JsonLines:
    """The scalars of a training in `metrics.jsonl`; a `Log`. Its videos lie beside it anyway.

    Lines of steps after the one that training goes on from are dropped, because these steps are made again.

    Args:
        folder: of the stage.
        first_step: the step that training goes on from.

    Raises:
        OSError: the file cannot be written; the error names it.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / METRICS_FILE
        lines = self._path.read_text().splitlines(keepends=True) if self._path.is_file() else []
        kept = [line for line in lines if _step(line) is not None and (_step(line) or 0) <= first_step]
        if len(kept) != len(lines):
            # If the lines were written in place, nothing would be left of them on a full disk.
            write_atomically(str(self._path), "".join(kept).encode())
        self._file = self._path.open("ab")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """See `Log`."""
        # NaN would not be JSON.
        rounded = {name: round(value, 9) if math.isfinite(value) else None for name, value in values.items()}
        with naming(self._path):
            self._file.write(json.dumps({"step": step, **rounded}).encode() + b"\n")
            self._file.flush()

    def text(self, step: int, name: str, markdown: str) -> None:
        """Keep nothing: a line holds numbers."""

    def video(self, step: int, name: str, path: Path, caption: str) -> None:
        """Keep nothing: the video lies in the same folder."""

    def close(self) -> None:
        """See `Log`."""
        # Every write is flushed, so the buffer only holds what could not be written.
        with suppress(OSError):
            self._file.close()


def _step(line: str) -> int | None:
    """Step of a line; None for one that a crash cut short."""
    try:
        values: Any = json.loads(line)
        return int(values["step"])
    except (ValueError, KeyError, TypeError):
        return None
