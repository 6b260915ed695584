"""A component's files of weights, read and written with the weights of one file in memory at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.weights.files import WEIGHTS, give_usual_mode, read_shapes, weight_files

LARGEST_FILE: Final = "10GB"


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
    """Write weights as diffusers does, each as its type.

    Raises:
        OSError, SafetensorError: a file could not be written.
    """
    with torch.device("meta"):
        empty = {name: torch.empty(each.shape, dtype=types[name]) for name, each in weights.items()}
    split = split_torch_state_dict_into_shards(
        empty, filename_pattern=f"{WEIGHTS}{{suffix}}.safetensors", max_shard_size=LARGEST_FILE
    )
    for file, names in split.filename_to_tensors.items():
        tensors = {name: weights[name].read().to(types[name]).contiguous() for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / f"{WEIGHTS}.safetensors.index.json").write_text(json.dumps(index, indent=2))
    give_usual_mode(folder.glob("*.safetensors"))


def _read(file: Path, name: str) -> Tensor:
    with safe_open(file, framework="pt") as weights:
        tensor: Tensor = weights.get_tensor(name)
        return tensor
