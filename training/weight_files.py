"""A component's files of weights, read and written with the weights of one file in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from model.weights.files import read_shapes, weight_files
from model.weights.shards import write_shards


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """A tensor that is read when it is written, so that not all have to be in memory."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor] = field(repr=False)


def weights_of(state: Mapping[str, Tensor]) -> dict[str, Weight]:
    """Tensors in memory as weights."""

    def weight(tensor: Tensor) -> Weight:
        return Weight(shape=tuple(tensor.shape), read=lambda: tensor)

    return {name: weight(tensor) for name, tensor in state.items()}


def weights_in(folder: Path) -> dict[str, Weight]:
    """The weights in a component's folder.

    Raises:
        ValueError: a file is missing or broken.
    """
    return {
        name: Weight(shape=shape, read=partial(_read, file, name))
        for file in weight_files(folder)
        for name, shape in read_shapes(file).items()
    }


def write_weights(folder: Path, weights: Mapping[str, Weight], types: Mapping[str, torch.dtype]) -> None:
    """Write weights as diffusers names their files, each as its type.

    Raises:
        OSError, SafetensorError: a file could not be written.
    """
    write_shards(((name, each.read().to(types[name])) for name, each in weights.items()), folder)


def _read(file: Path, name: str) -> Tensor:
    with safe_open(file, framework="pt") as weights:
        tensor: Tensor = weights.get_tensor(name)
        return tensor
