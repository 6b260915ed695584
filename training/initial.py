"""The model directory that a training starts from, and the fingerprint that tells it from others."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from infra.config import ConfigError, persons_mistakes
from infra.storage.write_errors import NotWrittenError, writing
from model.pretrained.assemble import build_pipeline
from model.pretrained.presets import PRESETS
from model.weights.directory import INDEX_FILE, check_model_directory, fingerprint
from model.weights.files import locate
from training.recipes.recipe import Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Initial:
    """What a training starts from."""

    directory: Path
    """A model directory."""
    fingerprint: str
    """Fingerprint of the component that is trained. A codebook or defaults put into the directory do not change it."""

    @classmethod
    def of(cls, directory: Path, component: str) -> Self:
        """A model directory as the start of a training of one of its components, e.g. `transformer`."""
        return cls(directory=directory, fingerprint=fingerprint(directory / component))


def initial_source(recipe: Recipe, run: Path, given: str | None) -> str:
    """What a stage starts from, as a directory, Hub id or preset.

    Args:
        recipe: of the stage.
        run: the run directory.
        given: what was typed, in place of the recipe's.

    Raises:
        ConfigError: neither names anything, or the stage that it starts from has no result yet.
    """
    source = given or recipe.initial
    if not source:
        raise ConfigError(
            "this stage starts from a model directory: give one with --model (MODEL=), e.g. what "
            "`python -m model convert` makes of Wan2.2-TI2V-5B"
        )
    kind, separator, stage = source.partition("stage:")
    if kind or not separator:
        return source
    directory = run / "train" / stage / "model"
    if not directory.is_dir():
        raise ConfigError(
            f"this stage starts from the result of {stage!r}, and {directory} is not there: train {stage} first, or "
            "give another model directory with --model"
        )
    return str(directory)


def initial_directory(source: str, aside: Path, *, seed: int) -> Path:
    """The model directory that a stage starts from.

    Args:
        source: a model directory, a Hub id, or `tiny` (random weights, written to `aside`).
        aside: where a preset's directory is made.
        seed: of a preset's weights.

    Raises:
        ConfigError: the directory is missing or incomplete; one line that says what.
        NotWrittenError: a preset's directory cannot be written; nothing of it is left.
    """
    if source in PRESETS and not Path(source).is_dir():
        if source != "tiny":
            raise ConfigError(f"{source}: to start from random weights makes no sense at this size, give a directory")
        if not (aside / INDEX_FILE).is_file():
            shutil.rmtree(aside, ignore_errors=True)
            pipeline = build_pipeline(source, seed=seed)
            try:
                with writing(aside, then="the same command begins again"):
                    pipeline.save_pretrained(aside)
            except NotWrittenError:
                shutil.rmtree(aside, ignore_errors=True)
                raise
        return aside
    with persons_mistakes():
        directory = locate(source)
        check_model_directory(directory)
    return directory
