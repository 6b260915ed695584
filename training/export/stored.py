"""The weights of a checkpoint, without the processes that wrote it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path
from typing import Final, Self

from torch import Tensor

from infra.config import ConfigError
from training.distributed.partitions import WEIGHT
from training.distributed.pieces import Digest, PieceFiles, digest_of
from training.distributed.snapshot import AVERAGE, BUFFER, DESCRIPTION_FILE, Description, open_pieces
from training.distributed.train_state import STATE_FILE, TrainState, checkpoint_paths, read_manifest, read_state
from training.result import Origin
from training.weight_files import Weight

CHECKPOINTS: Final = "checkpoints"
"""Folder of the checkpoints in that of a stage."""


class DamagedError(ConfigError):
    """A checkpoint is not what was written, or was removed before its files were open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A checkpoint that is open: its weights can be read even if training removes it meanwhile."""

    path: Path
    state: TrainState
    origin: Origin
    weights: dict[str, Weight] = field(repr=False)
    """Of the network that becomes the result, in its order."""
    _files: ExitStack = field(repr=False)

    @classmethod
    def open(cls, path: Path, *, averaged: bool) -> Self:
        """Open a checkpoint, and check what is read of it.

        Raises:
            DamagedError: it is damaged, or was removed meanwhile.
            ConfigError: it is of another format, or has no average.
        """
        try:
            return cls._open(path, AVERAGE if averaged else WEIGHT)
        except ConfigError:
            raise
        except OSError as error:
            # What training removes it first moves away.
            if path.is_dir():
                raise DamagedError(f"{path} is damaged ({error})") from error
            raise DamagedError(f"{path} has been removed: training keeps only the newest checkpoints") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(f"{path} is damaged ({error})") from error

    @classmethod
    def _open(cls, path: Path, kind: str) -> Self:
        manifest = read_manifest(path)
        _check(manifest, {STATE_FILE: digest_of(path / STATE_FILE)})
        state, _ = read_state(path)
        origin = Origin.of(state.result)
        with ExitStack() as stack:
            kinds = (kind, BUFFER)
            files = {each: stack.enter_context(open_pieces(path / origin.network, each)) for each in kinds}
            description = Description.read(path / origin.network)
            _check(manifest, _digests(path, origin.network, files), *(f"{origin.network}/{each}-" for each in kinds))
            if not files[kind].paths:
                raise ConfigError(f"{path} has no averaged weights: give --raw for those that are trained")
            weights = {
                name: Weight(shape=shape, read=partial(_read, files[each], name, shape))
                for each, shapes in zip(kinds, (description.parameters, description.buffers), strict=True)
                for name, shape in shapes.items()
            }
            return cls(path=path, state=state, origin=origin, weights=weights, _files=stack.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()


def stage_folder(given: Path) -> Path:
    """The stage's folder, of itself, its `checkpoints`, or one of these.

    Raises:
        ConfigError: it is none of them.
    """
    for folder in (given.absolute(), *given.absolute().parents[:2]):
        if (folder / CHECKPOINTS).is_dir():
            return folder
    raise ConfigError(f"{given} has no checkpoints: give RUN/train/STAGE, or one of its checkpoints/step-N")


def candidates(given: Path) -> Sequence[Path]:
    """The checkpoints that are meant by what was given, the best one first.

    Raises:
        ConfigError: there is none.
    """
    folder = stage_folder(given) / CHECKPOINTS
    if given.absolute().parent == folder:
        return [given]
    found = checkpoint_paths(folder)[::-1]
    if not found:
        raise ConfigError(f"{folder} has no checkpoint yet")
    return found


def newest(given: Path, *, averaged: bool) -> Stored:
    """The best checkpoint of those that are meant which is whole, opened; others are told of.

    Raises:
        ConfigError: none of them is.
    """
    *others, last = candidates(given)
    for path in others:
        try:
            return Stored.open(path, averaged=averaged)
        except DamagedError as error:
            print(f"{error}; taking the one before it", file=sys.stderr)
    return Stored.open(last, averaged=averaged)


def _digests(path: Path, network: str, files: Mapping[str, PieceFiles]) -> dict[str, Digest]:
    described = f"{network}/{DESCRIPTION_FILE}"
    digests: dict[str, Digest] = {described: digest_of(path / described)}
    for each in files.values():
        digests |= {f"{network}/{file.name}": digest for file, digest in each.digests().items()}
    return digests


def _check(manifest: Mapping[str, Digest], found: Mapping[str, Digest], *beginnings: str) -> None:
    """Compare what is read with the manifest, which may have no other files whose names begin like this.

    Raises:
        ValueError: it is something else; the message names the file.
    """
    for name in sorted(found.keys() | {each for each in manifest if each.startswith(beginnings)}):
        if found.get(name) != manifest.get(name):
            raise ValueError(f"{name} is not what was written")


def _read(files: PieceFiles, name: str, shape: tuple[int, ...]) -> Tensor:
    return files.read(name, 0, prod(shape)).view(shape)
