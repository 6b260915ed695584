"""How many damaged samples a training accepts before it stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.command_line import CommandFailedError
from infra.storage.write_errors import writing

FEW: Final = 2
"""So few damaged samples never stop a training: at its beginning they say nothing about the share."""


class DamagedError(CommandFailedError):
    """Too many samples are damaged; what has been learnt is not saved as a result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """How many damaged samples a training accepts, and where it writes them down."""

    path: Path
    """The file that each is written down in."""
    limit: float
    """Share of the samples that may be damaged before training stops."""

    def record(self, lines: Sequence[str]) -> None:
        """Write samples down, a line each.

        Raises:
            NotWrittenError: they cannot be.
        """
        with (
            writing(self.path, then="the same command goes on from the last checkpoint"),
            self.path.open("a") as file,
        ):
            file.writelines(f"{line}\n" for line in lines)

    def check(self, skipped: int, seen: int) -> None:
        """Check after a step whether to go on: `skipped` of the `seen` samples that were drawn were damaged.

        Raises:
            DamagedError: there are too many.
        """
        if skipped > max(self.limit * seen, FEW):
            raise DamagedError(
                f"{skipped} of the first {seen} samples are damaged or cannot be read, more than data.max_skipped "
                f"({self.limit:g}) allows; see {self.path}"
            )

    def check_result(self, skipped: int, seen: int) -> None:
        """Check at the end whether there is a result: a training of few steps ends before `check` would stop it.

        Raises:
            DamagedError: less than half of the samples could be learnt from, or none.
        """
        if 2 * skipped > seen:
            what = (
                f"nothing was learnt: all {seen}" if skipped == seen else f"too little was learnt: {skipped} of {seen}"
            )
            raise DamagedError(
                f"{what} samples that were drawn are damaged or cannot be read; see {self.path}. No model is written"
            )
