"""How far a training has come, as a checkpoint keeps it, and the list of a checkpoint's files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from infra.config import ConfigError
from training.distributed.pieces import Digest

FORMAT: Final = 2
"""Of a checkpoint's files. The first one was DeepSpeed's own."""
STATE_FILE: Final = "state.json"
MANIFEST_FILE: Final = "manifest.json"


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
    """Fingerprint of the network that training began with."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """The recipe that the last step was made with, see `changes.flat`."""
    result: dict[str, Any] = field(default_factory=dict)
    """What a model directory is made from with these weights, see `result.Origin`."""


def checkpoint_paths(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first; not those that are being written or removed."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir() and path.suffix != ".tmp")


def read_state(path: Path) -> tuple[TrainState, int]:
    """The state of a checkpoint, and the number of ranks that wrote it.

    Raises:
        ConfigError: it is of another format.
    """
    values = json.loads((path / STATE_FILE).read_text())
    world, written = values.pop("world"), values.pop("format", 1)
    if written == 1:
        raise ConfigError(
            f"{path} has DeepSpeed's own format, which is no longer read: finish this training with the version that "
            "began it, or move its folder away to begin anew"
        )
    if written != FORMAT:
        raise ConfigError(f"{path} has the format {written}, this version reads {FORMAT}: go on with a newer version")
    return TrainState(**values), world


def read_manifest(path: Path) -> dict[str, Digest]:
    """Size and CRC-32 of every file of a checkpoint, by its name.

    Raises:
        OSError, ValueError: it is missing or unreadable.
    """
    manifest: dict[str, Digest] = json.loads((path / MANIFEST_FILE).read_text())
    return manifest
