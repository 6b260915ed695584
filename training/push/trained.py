"""What a training's folder says of the model that it made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from curation.encoding.encoded import BadSampleError, EncodedDirectory, encoded_path
from infra.config import ConfigError
from training.data.index import read_index
from training.data.loader import SampleReader
from training.distributed.train_state import TrainState, checkpoint_paths, read_state
from training.monitoring.json_lines import METRICS_FILE
from training.result import Origin

CHECKPOINTS: Final = "checkpoints"
VALIDATION: Final = "validation"
UNTOLD: Final = frozenset({"encoders", "initial", "data.run"})
"""Entries of a recipe that say where things lie on the machine of who trained, and the fingerprint of the encoders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """Clips of one kind that were trained on."""

    name: str
    clips: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleVideo:
    """A video of the last validation, the truth on its left."""

    path: Path
    prompt: str
    """Empty where the clip that it is of can no longer be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A training as a card tells of it."""

    stage: str
    step: int
    samples: int
    """Drawn in all these steps."""
    began_with: str
    """What the training started from, for people."""
    recipe: Mapping[str, Any]
    """By dotted names."""
    pools: tuple[Pool, ...] = ()
    """Empty where what was trained on is no longer there."""
    held_out: int = 0
    validation: Mapping[str, float] = field(default_factory=dict)
    """Values of the last validation by name."""
    validation_step: int = 0
    seconds: float = 0.0
    """Of all steps together, as they were logged."""
    videos: tuple[SampleVideo, ...] = ()

    @classmethod
    def of(cls, folder: Path, *, num_videos: int) -> Self:
        """Read a stage's folder, `RUN/train/STAGE`.

        Args:
            folder: the stage's.
            num_videos: how many videos of the last validation are shown at most.

        Raises:
            ConfigError: it holds no checkpoint that can be read.
        """
        state = _newest(folder)
        run = folder.absolute().parents[1]
        reader = _reader(run, state.recipe)
        lines = _logged(folder)
        seen = [line for line in lines if any(name.startswith("validation_") for name in line)]
        last = seen[-1] if seen else {}
        return cls(
            stage=folder.absolute().name,
            step=state.step,
            samples=state.samples,
            began_with=_name_of(Origin.of(state.result).initial.directory, run),
            recipe={name: value for name, value in state.recipe.items() if name not in UNTOLD},
            pools=() if reader is None else _pools(reader),
            held_out=0 if reader is None else len(reader.samples.held_out),
            validation={name: value for name, value in last.items() if name.startswith("validation_")},
            validation_step=int(last.get("step", 0)),
            seconds=_seconds(lines),
            videos=_videos(folder, reader, num_videos),
        )


def stage_of(model: Path) -> Path | None:
    """The folder of the training that made a model directory, if it still lies there."""
    folder = model.resolve().parent
    return folder if (folder / CHECKPOINTS).is_dir() else None


def _newest(folder: Path) -> TrainState:
    for path in reversed(checkpoint_paths(folder / CHECKPOINTS)):
        try:
            return read_state(path)[0]
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, ConfigError):
                raise
    raise ConfigError(f"{folder} has no checkpoint that can be read: give RUN/train/STAGE with --trained")


def _reader(run: Path, recipe: Mapping[str, Any]) -> SampleReader | None:
    of_run, decisions = recipe.get("data.run") or str(run), recipe.get("data.decisions")
    directory = EncodedDirectory(encoded_path(of_run, str(recipe["encoded"]), decisions))
    try:
        samples = read_index(
            directory,
            held_out_fraction=float(recipe["data.held_out_fraction"]),
            of_sources=recipe.get("data.sources") or (),
        )
        return SampleReader(directory, samples)
    except (ConfigError, OSError):
        return None


def _pools(reader: SampleReader) -> tuple[Pool, ...]:
    fps = reader.encoding.fps
    return tuple(
        Pool(name=name, clips=len(rows), seconds=sum(each.frames for each in reader.samples.buckets(rows)) / fps)
        for name, rows in sorted(reader.samples.pools.items())
        if len(rows)
    )


def _logged(folder: Path) -> list[dict[str, Any]]:
    path = folder / METRICS_FILE
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def _seconds(lines: list[dict[str, Any]]) -> float:
    """Each line has the mean over the steps since the line before."""
    before, total = 0, 0.0
    for line in lines:
        total += (line["step"] - before) * (line.get("s_per_step") or 0.0)
        before = line["step"]
    return total


def _videos(folder: Path, reader: SampleReader | None, num: int) -> tuple[SampleVideo, ...]:
    steps = sorted(path for path in (folder / VALIDATION).glob("step-*") if path.is_dir())
    found = sorted(steps[-1].glob("*.mp4"))[:num] if steps else []
    return tuple(SampleVideo(path=path, prompt=_prompt(reader, path.stem)) for path in found)


def _prompt(reader: SampleReader | None, key: str) -> str:
    if reader is None:
        return ""
    keys = reader.samples.table["key"].to_pylist()
    try:
        return reader.read(keys.index(key)).prompts[0]
    except (BadSampleError, ValueError):
        return ""


def _name_of(directory: Path, run: Path) -> str:
    """What training began with, without the paths of who trained."""
    parts = directory.parts
    if cached := next((part for part in parts if part.startswith("models--")), None):
        return cached.removeprefix("models--").replace("--", "/")
    if directory.parent.parent == run / "train" and directory.name == "model":
        return f"the stage {directory.parent.name} of the same run"
    if directory.parent.parent == run / "train" and directory.name == "initial":
        return "random weights"
    return f"the model directory {directory.name}"
