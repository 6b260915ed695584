"""What a person sees while a run goes on: a progress bar and the counts by stage and rule."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from infra.jobs.cluster import dashboard_hint, ray_session
from infra.jobs.progress import Progress
from infra.watched import running_monitor

PLAIN_INTERVAL_S = 60.0
"""Without a terminal (CI, a log file) a line is printed this often, the first when work begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The words in which a job's progress is shown."""

    doing: str
    counts: Literal["units", "clips"]
    """What the bar counts."""
    kept: str
    rejected: str
    units: str = "units"
    """What people call the units."""
    clips: str = "clips"
    """What people call the things that are made of the units."""


@dataclass(kw_only=True, slots=True)
class Display:
    """Draws totals as they arrive."""

    console: Console
    total: int
    """Units, or clips where the job counts those."""
    words: Words
    bar: Bar = field(init=False)
    live: Live | None = None
    _last_line_s: float = -math.inf
    _start_s: float = field(init=False)
    _ended: bool = False
    _told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Prepare the bar."""
        self._start_s = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self.bar = Bar(*columns, console=self.console)
        self.bar.add_task(self.words.doing, total=self.total)

    def show(self, progress: Progress) -> None:
        """Redraw; above that, what workers have newly told."""
        for note in progress.notes:
            if note not in self._told:
                self._told.add(note)
                self.console.print(note, highlight=False, soft_wrap=True)
        done = self._done(progress)
        line = self._counts(progress)
        self.bar.update(self.bar.task_ids[0], completed=done)
        if self.live is not None:
            self.live.update(Group(self.bar, Text(line)))
        elif self._ends(progress, done) or self._is_due(progress):
            self._last_line_s = time.monotonic()
            counted = self.words.units if self.words.counts == "units" else self.words.clips
            self.console.print(f"{done}/{self.total} {counted}; {line}", highlight=False, soft_wrap=True)

    def _done(self, progress: Progress) -> int:
        """The number that the bar shows as done. What waits for its commit counts too: a commit may hold many units."""
        if self.words.counts == "units":
            return progress.units + progress.units_finished
        return progress.clips + progress.in_work

    def _is_all(self, progress: Progress, done: int) -> bool:
        """Whether nothing is left to do in this run."""
        if self.words.counts == "units":
            done += progress.waiting.total()
        return done >= self.total

    def _is_due(self, progress: Progress) -> bool:
        """Whether a line is to be printed: when work has begun, and then every `PLAIN_INTERVAL_S`."""
        since_s = time.monotonic() - max(self._last_line_s, self._start_s)
        return since_s > PLAIN_INTERVAL_S or (self._last_line_s < self._start_s and _has_begun(progress))

    def _ends(self, progress: Progress, done: int) -> bool:
        """Whether everything is committed now and was not before."""
        pending = progress.in_work or progress.units_in_work or progress.units_finished
        ended, self._ended = self._ended, self._is_all(progress, done) and not pending
        return self._ended and not ended

    def _counts(self, progress: Progress) -> str:
        """One line: units in work; clips, clips a second, clips kept; rejections by rule, the most frequent first."""
        if not _has_begun(progress):
            return "starting the workers"
        clips = progress.clips + progress.in_work
        rate = clips / max(time.monotonic() - self._start_s, 1e-9)
        rejected = ", ".join(f"{rule} {count}" for rule, count in progress.rejected.most_common())
        line = f"{progress.units_in_work} in work; " if progress.units_in_work else ""
        line += f"{waiting} left to the next run; " if (waiting := progress.waiting.total()) else ""
        line += f"{clips} {self.words.clips} ({rate:.2g} a second), {progress.kept} {self.words.kept}"
        return line + (f"; {self.words.rejected}: {rejected}" if rejected else "")


def _has_begun(progress: Progress) -> bool:
    return bool(progress.units or progress.units_finished or progress.units_in_work or progress.waiting)


@contextmanager
def display(console: Console, total: int, words: Words) -> Iterator[Display]:
    """A live display on a terminal, lines now and then elsewhere; nothing where there is nothing to do."""
    drawing = Display(console=console, total=total, words=words)
    if not console.is_terminal or not total:
        yield drawing
        return
    with Live(drawing.bar, console=console, refresh_per_second=4) as live:
        drawing.live = live
        yield drawing


@contextmanager
def announced_ray(console: Console, name: str = "curation") -> Iterator[None]:
    """A Ray session, whose dashboard's address is printed.

    Raises:
        ConnectionError, ClusterError: see `ray_session`.
    """
    console.print("Starting Ray ...")
    with ray_session(name) as dashboard:
        console.print(f"dashboard  {dashboard}{dashboard_hint()}", soft_wrap=True, highlight=False)
        if (monitor := running_monitor()) is not None:
            where = f"{monitor.prometheus}/graph" if monitor.grafana is None else f"{monitor.grafana}/dashboards"
            console.print(f"metrics    {where}", soft_wrap=True, highlight=False)
        yield
