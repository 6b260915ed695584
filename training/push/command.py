"""`python -m training push`: a model directory with its card, to the Hub or into a folder."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from infra.config import ConfigError, persons_mistakes
from infra.hub.push import CARD, is_repository, push
from infra.hub.pushed_file import PushedFile
from model.weights.directory import check_model_directory
from training.push.card import SAMPLES, model_card
from training.push.trained import Trained, stage_of


def run(options: argparse.Namespace) -> None:
    """Push the model directory.

    Raises:
        ConfigError: it is not a whole model directory, or it may not go where it is to go; one line.
        CommandFailedError, OSError: something broke off; the same command goes on.
    """
    if options.samples < 0:
        raise ConfigError(f"--samples is at least 0, got {options.samples}")
    with persons_mistakes():
        check_model_directory(options.model)
    folder = options.trained or stage_of(options.model)
    if folder is None:
        print(f"card  {options.model} does not lie in a training's folder: nothing is told of it (see --trained)")
    trained = None if folder is None else Trained.of(folder, num_videos=options.samples)
    files = list(_files(options, trained))
    step = "" if trained is None else f", step {trained.step}"
    push(
        files, options, kind="model", message=f"Push the model of {folder.name if folder else options.model.name}{step}"
    )


def _files(options: argparse.Namespace, trained: Trained | None) -> Iterator[PushedFile]:
    """The model's files, the samples, and last the card, which names them."""
    directory: Path = options.model
    own = [path for path in sorted(directory.rglob("*")) if path.is_file() and not _is_hidden(path, directory)]
    yield from (PushedFile(name=path.relative_to(directory).as_posix(), source=str(path)) for path in own)
    if trained is not None:
        yield from (PushedFile(name=f"{SAMPLES}/{each.path.name}", source=str(each.path)) for each in trained.videos)
    if not (directory / CARD).is_file():
        name = options.to if is_repository(options.to) else Path(options.to).name
        card = model_card(
            directory, trained, name=name, base_model=options.base_model, license_id=options.license
        ).encode()
        yield PushedFile(name=CARD, content=lambda: card)


def _is_hidden(path: Path, directory: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(directory).parts)
