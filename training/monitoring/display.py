"""What a person sees of a training: a progress bar on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SHOWN = (
    "loss",
    "generator_loss",
    "critic_loss",
    "validation_loss",
    "validation_psnr",
    "validation_ssim",
    "grad_norm",
    "lr",
    "s_per_step",
    "tokens_per_s",
    "mfu",
    "data_wait_s",
    "audio_delta",
)


class Display:
    """Draws the progress of the main process; silent on the others."""

    def __init__(self, *, visible: bool) -> None:
        self.visible = visible
        self.console = Console(stderr=True, markup=False, quiet=not visible)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not visible or not self.console.is_terminal,
        )
        self.task: TaskID | None = None

    def start(self, step: int, total: int) -> None:
        """Begin to draw."""
        self.progress.start()
        self.task = self.progress.add_task("training", completed=step, total=total)

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """Draw the averages of the last steps."""
        text = "  ".join(f"{name} {values[name]:.4g}" for name in SHOWN if name in values)
        if self.task is not None:
            name = next((name for name in SHOWN if name in values), "training")
            described = f"{name.replace('_', ' ')} {values[name]:.4f}" if name in values else name
            self.progress.update(self.task, completed=step, description=described)
        self.console.print(f"step {step}  {text}", soft_wrap=True, highlight=False)

    def announce(self, line: str) -> None:
        """Print a line on what is about to take long, at once. It goes to standard output; progress and problems go to
        standard error."""
        if self.visible:
            print(line, flush=True)

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self.console.print(line, soft_wrap=True, highlight=False)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Inside, show what is being done in place of the progress bar's name."""
        if self.task is None:
            yield
            return
        name = self.progress.tasks[self.task].description
        self.progress.update(self.task, description=what)
        try:
            yield
        finally:
            self.progress.update(self.task, description=name)

    def stop(self) -> None:
        """Stop drawing."""
        self.progress.stop()
