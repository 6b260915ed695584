"""What a training says of itself. It says a thing once, and each log that is open keeps it in its own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from infra.watched import running_monitor
from training.monitoring.board import Board
from training.monitoring.config import MonitoringConfig
from training.monitoring.exporter import Exporter
from training.monitoring.json_lines import JsonLines
from training.monitoring.wandb_log import WandbLog

BOARD_FOLDER: Final = "tensorboard"
"""Of TensorBoard's files, in the stage's folder."""
RECIPE: Final = "recipe"
"""Name of the text that says what is trained."""


class Log(Protocol):
    """Keeps what a training says. Steps never go down, and a name is always of a scalar, a text or a video."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Keep the values of a step, by name."""
        ...

    def text(self, step: int, name: str, markdown: str) -> None:
        """Keep a text under a name; a later text of that name takes its place."""
        ...

    def video(self, step: int, name: str, path: Path, caption: str) -> None:
        """Keep a video, an mp4 that has been written, beside those of that name of other steps."""
        ...

    def close(self) -> None:
        """Finish what is kept."""
        ...


class Logs:
    """Several logs as one; a `Log`.

    Raises:
        OSError: a file of a log could not be written; the error names the file. All methods raise it but `close`.
    """

    def __init__(self, logs: Sequence[Log]) -> None:
        self._logs = logs

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """See `Log`."""
        for log in self._logs:
            log.scalars(step, values)

    def text(self, step: int, name: str, markdown: str) -> None:
        """See `Log`."""
        for log in self._logs:
            log.text(step, name, markdown)

    def video(self, step: int, name: str, path: Path, caption: str) -> None:
        """See `Log`."""
        for log in self._logs:
            log.video(step, name, path, caption)

    def close(self) -> None:
        """See `Log`."""
        with ExitStack() as stack:
            for log in self._logs:
                stack.callback(log.close)


def open_logs(
    folder: Path,
    first_step: int,
    config: MonitoringConfig,
    recipe: Mapping[str, Any],
    say: Callable[[str], None],
    *,
    total_steps: int,
) -> Logs:
    """Begin to log: `metrics.jsonl`, TensorBoard's files and, where the recipe asks for them, Prometheus and Weights &
    Biases.

    Args:
        folder: of the stage.
        first_step: the step that training goes on from.
        config: where the log also goes.
        recipe: the whole recipe, which is kept as a text and as the configuration of the run.
        say: given a line where a log that is not on this machine cannot be reached.
        total_steps: steps of the whole training.

    Raises:
        OSError: a file cannot be written; the error names the file.
        ConfigError: nobody can listen at the port that Prometheus is to ask.
    """
    logs: list[Log] = [JsonLines(folder, first_step), Board(folder / BOARD_FOLDER, first_step + 1)]
    if config.wandb:
        logs.append(WandbLog(folder, config, recipe, say))
    if config.prometheus_port or (config.prometheus_port is None and running_monitor() is not None):
        logs.append(Exporter(folder, first_step, total_steps, config.prometheus_port or 0))
    opened = Logs(logs)
    opened.text(first_step, RECIPE, f"```yaml\n{yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True)}```")
    return opened
