"""The log of a training for Weights & Biases, a service on the network that may be away."""

from __future__ import annotations

import html
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from infra.storage.files import write_atomically
from training.monitoring.config import MonitoringConfig

RUN_ID_FILE: Final = "wandb-run.txt"
"""Holds the run's name at Weights & Biases, so that a training that goes on adds to the same run."""
PATIENCE_S: Final = 60
"""How long the beginning and the end of a training each wait for the service."""


class WandbLog:
    """A run of Weights & Biases; a `Log`.

    A training must not end because a service is away: whatever its client raises is told in one line, the first time,
    and the training goes on without it. What the client has kept lies in the stage's folder under `wandb/`, and
    `wandb sync` sends it later.

    Of steps that are made again after a training was broken off, the service keeps what it was told first.

    Args:
        folder: of the stage.
        config: names the project.
        recipe: becomes the run's configuration.
        say: given a line where the service cannot be reached.
    """

    def __init__(
        self, folder: Path, config: MonitoringConfig, recipe: Mapping[str, Any], say: Callable[[str], None]
    ) -> None:
        self._say = say
        self._folder = folder
        self._run: Any = None
        self._client: Any = None
        self._tried(lambda: self._begin(config, recipe))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """See `Log`."""
        self._log(step, lambda: dict(values))

    def text(self, step: int, name: str, markdown: str) -> None:
        """See `Log`."""
        self._log(step, lambda: {name: self._client.Html(f"<pre>{html.escape(markdown)}</pre>", inject=False)})

    def video(self, step: int, name: str, path: Path, caption: str) -> None:
        """See `Log`."""
        self._log(step, lambda: {name: self._client.Video(str(path), caption=caption, format="mp4")})

    def close(self) -> None:
        """See `Log`."""
        if self._run is not None:
            self._tried(self._run.finish)

    def _begin(self, config: MonitoringConfig, recipe: Mapping[str, Any]) -> None:
        import wandb  # noqa: PLC0415 (not installed by default)

        *entity, project = config.wandb.split("/")
        self._client = wandb
        self._run = wandb.init(
            entity=entity[0] if entity else None,
            project=project,
            id=_run_id(self._folder / RUN_ID_FILE),
            name=f"{self._folder.absolute().parents[1].name}/{self._folder.name}",
            resume="allow",
            dir=str(self._folder),
            config=dict(recipe),
            allow_val_change=True,
            settings=wandb.Settings(
                init_timeout=PATIENCE_S,
                login_timeout=PATIENCE_S,
                finish_timeout=PATIENCE_S,
                finish_timeout_raises=True,
                # The terminal is the display's.
                console="off",
                quiet=True,
            ),
        )

    def _log(self, step: int, values: Callable[[], dict[str, Any]]) -> None:
        if self._run is not None:
            self._tried(lambda: self._run.log(values(), step=step))

    def _tried(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 (the client raises those of its libraries, too)
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            self._say(
                f"Weights & Biases is left out from here on, and training goes on: {reason}. What was kept lies in "
                f"{self._folder / 'wandb'}"
            )
            self._run = None


def _run_id(path: Path) -> str:
    """The name of the stage's run at the service, made up the first time."""
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    made = secrets.token_hex(4)
    write_atomically(str(path), f"{made}\n".encode())
    return made
