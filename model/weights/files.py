"""Files of weights: finding them, reading headers, comparing them with what a model expects, setting their modes."""

import json
import os
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from model.weights.source import SHIPPED_DIRECTORY, is_shipped, names_a_directory

WEIGHTS = "diffusion_pytorch_model"
"""Stem of the weight files of diffusers and of the official releases."""

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
"""Shape of each tensor by its name."""


def locate(source: str | PathLike[str], *, patterns: list[str] | None = None) -> Path:
    """Return the directory `source`, or a snapshot of the Hub repository of that name (only files of `patterns`).

    `pretrained` is the small network that comes with Soul, where there is no directory of this name.

    Raises:
        ValueError: neither a directory nor a repository that the Hub gives.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ValueError(f"{source}: a file, not a directory")
    if is_shipped(str(source)):
        return SHIPPED_DIRECTORY
    if names_a_directory(str(source)):
        raise ValueError(f"{source}: no such directory")
    try:
        return Path(snapshot_download(str(source), allow_patterns=patterns))
    except Exception as error:  # noqa: BLE001 (the Hub's client raises those of its libraries, too)
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{source}: neither a directory nor a model that the Hub gives: {reason}") from None


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: no such file, or it holds something else.
    """
    if not file.is_file():
        raise ValueError(f"{file}: no such file")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file}: not a JSON object")  # noqa: TRY004 (the person's error)
    return content


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model's folder, which may be sharded; they need not exist.

    Raises:
        ValueError: the index of the shards is not valid.
    """
    index = folder / f"{WEIGHTS}.safetensors.index.json"
    if not index.is_file():
        return [folder / f"{WEIGHTS}.safetensors"]
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise ValueError(f"{index}: no 'weight_map'")  # noqa: TRY004 (the person's error)
    return [folder / name for name in sorted(set(weight_map.values()))]


def read_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Read the header of a safetensors file.

    Raises:
        ValueError: no such file, one that may not be read, or not a whole safetensors file.
    """
    if not file.is_file():
        raise ValueError(f"{file}: no such file")
    try:
        with safe_open(file, framework="pt") as weights:
            return {key: tuple(weights.get_slice(key).get_shape()) for key in weights.keys()}  # noqa: SIM118
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error}") from None
    except SafetensorError as error:
        raise ValueError(f"{file}: not a whole safetensors file: {error}") from None


def stored_dtype(folder: Path, name: str) -> str | None:
    """Type of a stored tensor as safetensors writes it, `F32` or `BF16`; None if a model's folder has no such tensor.

    Raises:
        ValueError: the folder's index or a file of weights cannot be read.
    """
    for file in weight_files(folder):
        if name in read_shapes(file):
            with safe_open(file, framework="pt") as weights:
                dtype: str = weights.get_slice(name).get_dtype()
                return dtype
    return None


def check_fit(expected: Shapes, found: Shapes) -> None:
    """Compare names and shapes.

    Raises:
        ValueError: they differ; the message names the first difference.
    """
    for name in sorted(expected.keys() - found.keys()):
        raise ValueError(f"missing key {name!r}")
    for name in sorted(found.keys() - expected.keys()):
        raise ValueError(f"unknown key {name!r}")
    for name, shape in found.items():
        if shape != expected[name]:
            raise ValueError(f"{name!r} has shape {shape}, expected {expected[name]}")


def give_usual_mode(files: Iterable[Path]) -> None:
    """Give files that safetensors has just written the mode that the umask gives every other.

    It writes through temporary files (0.8), which are 0600 whatever the umask: nobody else could load the model.
    """
    # The umask can only be read by setting it. Files that other threads make in between are the owner's alone.
    umask = os.umask(0o077)
    os.umask(umask)
    for file in files:
        file.chmod(0o666 & ~umask)
