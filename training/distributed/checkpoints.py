"""Checkpoints that are whole or not there: written aside, checked, then moved into place.

`step-<number>/` holds DeepSpeed's states of each network, the averages, generator states and `state.json`, and
`manifest.json` with the size and CRC-32 of every file. The newest whose manifest holds is the one to go on from.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from infra.config import ConfigError
from infra.storage.write_errors import ERRORS, NotWrittenError, reason_of
from training.distributed.ranks import Ranks
from training.distributed.trained_model import TrainedModel

_CHUNK = 1 << 24


class CheckpointError(NotWrittenError):
    """A checkpoint could not be written; those before it are untouched."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """When checkpoints are written, and how many are kept."""

    every: int = 500
    """Optimizer steps between two; one more at the end and on SIGTERM."""
    keep: int = 2
    """How many of the newest are kept. With only one, nothing is left if the disk damages it."""

    def __post_init__(self) -> None:
        """Refuse to keep none."""
        if self.every < 1 or self.keep < 1:
            raise ValueError("checkpoint.every and checkpoint.keep must be at least 1")


@dataclass(kw_only=True, slots=True)
class TrainState:
    """How far a training has come."""

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    """Epoch of the next batch."""
    batch: int = 0
    """The next batch, within its epoch."""
    samples: int = 0
    """Samples drawn so far."""
    skipped: int = 0
    """Of these, damaged ones."""
    data: str = ""
    """Fingerprint of the plan: what is trained on, in which batches."""
    initial: str = ""
    """Fingerprint of the network that training began with; empty in checkpoints from before it was kept."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """The recipe that the last step was made with, see `changes.flat`; empty in checkpoints from before it was kept."""


class Checkpoints:
    """The checkpoints of one stage; all ranks call all methods."""

    def __init__(self, folder: Path, config: CheckpointConfig, ranks: Ranks) -> None:
        self.folder = folder
        self.config = config
        self.ranks = ranks

    def save(self, state: TrainState, models: Sequence[TrainedModel]) -> Path:
        """Write a checkpoint, and remove the oldest beyond those to keep.

        Raises:
            CheckpointError: it could not be written (a full disk, say); nothing of it is left.
        """
        target = self.folder / f"step-{state.step:08d}"
        aside = self.folder / f"{target.name}.tmp"
        actions = (
            lambda: self._prepare(aside),
            lambda: self._write(aside, state, models),
            lambda: self._publish(aside, target),
        )
        problem = next((each for each in (self._attempt(action) for action in actions) if each), None)
        if problem is not None:
            if self.ranks.is_main:
                shutil.rmtree(aside, ignore_errors=True)
            raise CheckpointError(
                f"the checkpoint {target} could not be written: {problem}; "
                + ("those before it are untouched, and " if self.paths() else "")
                + "the same command goes on"
            )
        return target

    def resume(
        self, models: Sequence[TrainedModel], check: Callable[[TrainState], None]
    ) -> tuple[TrainState | None, list[str]]:
        """Take up the newest checkpoint that is whole.

        Args:
            models: what takes it up.
            check: called with its state before they do; raises a ConfigError where it does not fit.

        Returns:
            Its state, or None when there is none; and a line for each damaged one that was passed over.

        Raises:
            ConfigError: the newest whole one does not fit this training.
        """
        if self.ranks.is_main and self.folder.is_dir():
            for stale in self.folder.glob("*.tmp"):
                shutil.rmtree(stale, ignore_errors=True)
        self.ranks.barrier()
        notes: list[str] = []
        for path in reversed(self.ranks.broadcast(self.paths())):
            problem = next((each for each in self.ranks.gather(self._check(path)) if each), None)
            if problem is None:
                return self._load(path, models, check), notes
            notes.append(f"{path.name} is damaged ({problem}); going on from the one before it")
        return None, notes

    def paths(self) -> list[Path]:
        """Checkpoints, oldest first."""
        return sorted(path for path in self.folder.glob("step-*") if path.is_dir() and path.suffix != ".tmp")

    def _attempt(self, action: Any) -> str | None:
        """Run an action on this rank; the problem of any rank, on all of them."""
        problem = None
        try:
            action()
        except ERRORS as error:
            problem = reason_of(error, self.folder)
        return next((each for each in self.ranks.gather(problem) if each), None)

    def _prepare(self, aside: Path) -> None:
        if self.ranks.is_main:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)

    def _write(self, aside: Path, state: TrainState, models: Sequence[TrainedModel]) -> None:
        for model in models:
            model.save(aside)
        torch.save(_generators(), aside / f"random-{self.ranks.rank:05d}.pt")
        if self.ranks.is_main:
            (aside / "state.json").write_text(json.dumps(asdict(state) | {"world": self.ranks.world}, indent=1))

    def _publish(self, aside: Path, target: Path) -> None:
        files = sorted(path for path in aside.rglob("*") if path.is_file())
        # Reading all of it back is shared out: a 5B model's states are some 80 GB.
        mine = {str(path.relative_to(aside)): _digest(path) for path in files[self.ranks.rank :: self.ranks.world]}
        digests: dict[str, Any] = {}
        for part in self.ranks.gather(mine):
            digests |= part
        if not self.ranks.is_main:
            return
        (aside / "manifest.json").write_text(json.dumps(digests, indent=1))
        if target.exists():
            shutil.rmtree(target)
        aside.rename(target)
        for old in self.paths()[: -self.config.keep]:
            shutil.rmtree(old)

    def _check(self, path: Path) -> str | None:
        """What is wrong with this rank's share of a checkpoint's files."""
        try:
            manifest: Mapping[str, Any] = json.loads((path / "manifest.json").read_text())
        except (OSError, ValueError):
            return "its manifest is missing or unreadable"
        for name in sorted(manifest)[self.ranks.rank :: self.ranks.world]:
            file = path / name
            if not file.is_file():
                return f"{name} is missing"
            if file.stat().st_size != manifest[name]["bytes"] or _digest(file) != manifest[name]:
                return f"{name} is not what was written"
        return None

    def _load(self, path: Path, models: Sequence[TrainedModel], check: Callable[[TrainState], None]) -> TrainState:
        values = json.loads((path / "state.json").read_text())
        world = values.pop("world")
        if world != self.ranks.world:
            raise ConfigError(
                f"{path} was written by {world} processes and this training has {self.ranks.world}: go on with as "
                "many, or start a new training from the model directory"
            )
        state = TrainState(**values)
        check(state)
        for model in models:
            self._load_model(model, path)
        _restore_generators(torch.load(path / f"random-{self.ranks.rank:05d}.pt"))
        return state

    def _load_model(self, model: TrainedModel, path: Path) -> None:
        """Load a model; a ConfigError of one rank is raised on all of them."""
        problem: ConfigError | None = None
        try:
            model.load(path)
        except ConfigError as error:
            problem = error
        problem = next((each for each in self.ranks.gather(problem) if each), None)
        if problem is not None:
            raise problem


def _digest(path: Path) -> dict[str, int]:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return {"bytes": path.stat().st_size, "crc32": crc}


def _generators() -> dict[str, Any]:
    """States of the global generators: our own draws do not use them, those of a library might."""
    states: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _restore_generators(states: Mapping[str, Any]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
