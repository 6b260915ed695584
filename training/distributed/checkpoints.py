"""Checkpoints that are whole or not there: written aside, described, then moved into place.

`step-<number>/` holds each network's states in files that all ranks write at once (see `snapshot`), their generator
states, `state.json`, and `manifest.json` with the size and CRC-32 of every file. The newest whose manifest holds is the
one to go on from, on any number of ranks. DeepSpeed's own checkpoints need as many ranks as wrote them or a conversion
in between, and under ZeRO-1 and 2 one rank writes all weights. Those of `torch.distributed.checkpoint` would do, but
promise nothing between versions of PyTorch, read whole pieces to give a part of one, and plan every save together.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from training.distributed.background import Background
from training.distributed.checkpoint_writer import CheckpointError, CheckpointWriter, Content, generators_file
from training.distributed.pieces import digest_of
from training.distributed.ranks import Ranks
from training.distributed.snapshot import HostCopies, Snapshot
from training.distributed.train_state import (
    FORMAT,
    TrainState,
    checkpoint_paths,
    read_manifest,
    read_state,
)
from training.distributed.trained_model import TrainedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """When checkpoints are written, and how many are kept."""

    every: int = 500
    """Optimizer steps between two; one more at the end and on SIGTERM."""
    keep: int = 2
    """How many of the newest are kept. With only one, nothing is left if the disk damages it."""
    background: bool = True
    """Write while training goes on. Training then waits only until the states have been copied to host memory, which
    takes as much of it as the states of a rank are large: 16 bytes a trained parameter (12 without an average), divided
    by the number of ranks. For GPUs this memory is pinned, which PyTorch rounds up to powers of two."""

    def __post_init__(self) -> None:
        """Refuse to keep none."""
        if self.every < 1 or self.keep < 1:
            raise ValueError("checkpoint.every and checkpoint.keep must be at least 1")


class Checkpoints:
    """The checkpoints of one stage; all ranks call all methods."""

    def __init__(self, folder: Path, config: CheckpointConfig, ranks: Ranks) -> None:
        self.folder = folder
        self.config = config
        self.ranks = ranks
        self._writer = CheckpointWriter(folder, config.keep, ranks)
        self._background = Background(ranks)
        self._copies = HostCopies()

    def save(self, state: TrainState, models: Sequence[TrainedModel], *, at_once: bool = False) -> None:
        """Write a checkpoint, and remove the oldest beyond those to keep.

        In the background, unless the configuration says otherwise; then its problem is raised by `wait`.

        Args:
            state: how far training has come.
            models: what is saved.
            at_once: whether to write before returning in any case: nothing is trained meanwhile.

        Raises:
            CheckpointError: it could not be written (a full disk, say), or the one before it could not; nothing of it
                is left.
        """
        self.wait()
        target = self.folder / f"step-{state.step:08d}"
        described = asdict(state) | {"world": self.ranks.world, "format": FORMAT}
        snapshots = [model.snapshot() for model in models]
        in_background = self.config.background and not at_once
        if in_background:
            snapshots = self._copied(snapshots, target)
        content = Content(state=json.dumps(described, indent=1), generators=_generators(), snapshots=snapshots)
        if in_background:
            self._background.start(lambda: self._writer.write(target, content, self._background.gather))
        elif problem := self._writer.write(target, content, self.ranks.gather):
            raise CheckpointError(problem)

    @property
    def has_failed(self) -> bool:
        """Whether this rank knows that a checkpoint could not be written in the background; `wait` says why."""
        return self._background.has_failed

    def wait(self) -> None:
        """Wait for a checkpoint that is being written.

        Raises:
            CheckpointError: it could not be written; raised on all ranks.
        """
        if problem := self._background.finish():
            raise CheckpointError(problem)

    def close(self) -> str | None:
        """Wait for a checkpoint that is being written, at the end or after an error; returns its problem."""
        try:
            return self._background.finish()
        finally:
            self._background.close()

    def resume(
        self, models: Sequence[TrainedModel], check: Callable[[TrainState], None]
    ) -> tuple[TrainState | None, list[str]]:
        """Take up the newest checkpoint that is whole, whatever number of ranks wrote it.

        Args:
            models: what takes it up.
            check: called with its state before they do; raises a ConfigError where it does not fit.

        Returns:
            Its state, or None when there is none; and a line for each damaged one that was passed over, and for what
            could not be taken up.

        Raises:
            ConfigError: the newest whole one does not fit this training, or is of another format.
        """
        if self.ranks.is_main and self.folder.is_dir():
            for stale in self.folder.glob("*.tmp"):
                shutil.rmtree(stale, ignore_errors=True)
        self.ranks.barrier()
        notes: list[str] = []
        for path in reversed(self.ranks.broadcast(self.paths())):
            problem = next((each for each in self.ranks.gather(self._check(path)) if each), None)
            if problem is None:
                state, note = self._load(path, models, check)
                return state, [*notes, *note]
            notes.append(f"{path.name} is damaged ({problem}); going on from the one before it")
        return None, notes

    def paths(self) -> list[Path]:
        """Checkpoints, oldest first."""
        return checkpoint_paths(self.folder)

    def _copied(self, snapshots: Sequence[Snapshot], target: Path) -> list[Snapshot]:
        copies: list[Snapshot] = []
        if problem := self._writer.attempt(lambda: copies.extend(map(self._copies.take, snapshots)), self.ranks.gather):
            told = self._writer.told(target, problem)
            raise CheckpointError(f"{told} (checkpoint.background=false writes without copies in host memory)")
        return copies

    def _check(self, path: Path) -> str | None:
        """What is wrong with this rank's share of a checkpoint's files."""
        try:
            manifest = read_manifest(path)
        except (OSError, ValueError):
            return "its manifest is missing or unreadable"
        for name in sorted(manifest)[self.ranks.rank :: self.ranks.world]:
            file = path / name
            if not file.is_file():
                return f"{name} is missing"
            if file.stat().st_size != manifest[name]["bytes"] or digest_of(file) != manifest[name]:
                return f"{name} is not what was written"
        return None

    def _load(
        self, path: Path, models: Sequence[TrainedModel], check: Callable[[TrainState], None]
    ) -> tuple[TrainState, list[str]]:
        state, world = read_state(path)
        check(state)
        for model in models:
            model.load(path)
        if world == self.ranks.world:
            _restore_generators(torch.load(path / generators_file(self.ranks.rank)))
            return state, []
        return state, [
            f"{path.name} was written by {world} processes, this training has {self.ranks.world}: the states of random "
            "generators are left behind, which training does not draw from"
        ]


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
