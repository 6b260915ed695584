"""What a person sees while a run goes on: a progress bar and the counts by stage and rule."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from curation.telemetry import Progress

PLAIN_INTERVAL_S = 15.0
"""Without a terminal (CI, a log file) a line is printed this often."""


@dataclass(kw_only=True, slots=True)
class Display:
    """Draws totals as they arrive."""

    console: Console
    total: int
    bar: Bar = field(init=False)
    live: Live | None = None
    _last_line_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Prepare the bar."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self.bar = Bar(*columns, console=self.console)
        self.bar.add_task("curating", total=self.total)

    def show(self, progress: Progress) -> None:
        """Redraw."""
        self.bar.update(self.bar.task_ids[0], completed=progress.units)
        if self.live is not None:
            self.live.update(Group(self.bar, Text(counts(progress))))
        elif progress.units == self.total or time.monotonic() - self._last_line_s > PLAIN_INTERVAL_S:
            self._last_line_s = time.monotonic()
            self.console.print(f"{progress.units}/{self.total} units; {counts(progress)}", highlight=False)


def counts(progress: Progress) -> str:
    """One line: clips, kept, and what was rejected by stage and rule, most frequent first."""
    rejected = ", ".join(f"{rule} {count}" for rule, count in progress.rejected.most_common())
    return f"{progress.clips} clips, {progress.kept} kept" + (f"; rejected: {rejected}" if rejected else "")


@contextmanager
def display(console: Console, total: int) -> Iterator[Display]:
    """A live display on a terminal, lines now and then elsewhere."""
    drawing = Display(console=console, total=total)
    if not console.is_terminal:
        yield drawing
        return
    with Live(drawing.bar, console=console, refresh_per_second=4) as live:
        drawing.live = live
        yield drawing
