"""Model directories: finding them, and saying what is wrong with a broken one before anything is loaded."""

import importlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from accelerate import init_empty_weights
from diffusers.models.modeling_utils import ModelMixin
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open

CODEBOOK_FILE: Final = "codebook.safetensors"
INDEX_FILE: Final = "model_index.json"

Shapes = dict[str, tuple[int, ...]]


def resolve_model_directory(source: str | Path) -> Path:
    """The local directory of a model: `source` itself, or a snapshot of the Hub repository of that name.

    Raises:
        ValueError: neither a directory nor a repository that can be had.
    """
    directory = Path(source)
    if directory.is_dir():
        return directory
    if directory.exists():
        raise ValueError(f"{directory} is not a model directory but a file")
    if str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise ValueError(f"no such model directory: {source}")
    try:
        return Path(snapshot_download(str(source)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ValueError(f"no such model directory, and no such model on the Hub: {source}") from error


def check_model_directory(directory: Path, *, given: Collection[str] = ()) -> None:
    """Compare every component's files with its configuration, reading headers only.

    Args:
        directory: what `SoulPipeline.save_pretrained` wrote.
        given: components that the caller brings and that need not be there.

    Raises:
        ValueError: a missing file, a missing or unknown tensor or one of the wrong shape; the message names it.
    """
    index = _read_json(directory / INDEX_FILE)
    if index.get("_class_name") != "SoulPipeline":
        raise ValueError(f"{directory / INDEX_FILE} describes a {index.get('_class_name')}, not a SoulPipeline")
    for name, entry in index.items():
        if name.startswith("_") or name in given or not isinstance(entry, list) or entry[0] is None:
            continue
        library, class_name = entry
        if not (directory / name).is_dir():
            raise ValueError(f"{directory} is incomplete: it has no {name}/ ({class_name})")
        component = getattr(importlib.import_module(library), class_name, None) if library in _LIBRARIES else None
        if library in _LIBRARIES and component is None:
            raise ValueError(f"{directory / INDEX_FILE}: {library} has no {class_name} (component {name})")
        if isinstance(component, type) and issubclass(component, ModelMixin):
            _check_component(component, directory / name)


_LIBRARIES: Final = ("model", "diffusers")


def _check_component(component: type[Any], folder: Path) -> None:
    config = _read_json(folder / "config.json")
    try:
        with init_empty_weights():
            expected = {key: tuple(t.shape) for key, t in component.from_config(config).state_dict().items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'} does not make a {component.__name__}: {error}") from error
    found: Shapes = {}
    for file in _weight_files(folder):
        found |= _header(file)
    for key in sorted(expected.keys() - found.keys()):
        raise ValueError(f"{folder} has no tensor {key!r}, which its config.json asks for")
    for key in sorted(found.keys() - expected.keys()):
        raise ValueError(f"{folder} has an unknown tensor {key!r}, for which its config.json has no place")
    for key, shape in expected.items():
        if found[key] != shape:
            raise ValueError(f"{folder}: tensor {key!r} has shape {found[key]}, its config.json makes it {shape}")


def _weight_files(folder: Path) -> list[Path]:
    single = folder / "diffusion_pytorch_model.safetensors"
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise ValueError(f"no such file: {single}")
    files = [folder / name for name in sorted(set(_read_json(index)["weight_map"].values()))]
    for file in files:
        if not file.is_file():
            raise ValueError(f"no such file: {file}")
    return files


def _header(file: Path) -> Shapes:
    try:
        with safe_open(file, framework="pt") as tensors:
            return {key: tuple(tensors.get_slice(key).get_shape()) for key in tensors.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{file} is not a whole safetensors file: {error}") from error


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ValueError(f"no such file: {file}")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} is not a JSON object")
    return content
