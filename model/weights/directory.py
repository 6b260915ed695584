"""Model directories: saying what is wrong with a broken one before anything is loaded."""

import hashlib
import importlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from accelerate import init_empty_weights
from diffusers.models.modeling_utils import ModelMixin

from model.weights.files import check_fit, read_json, read_shapes, weight_files

CODEBOOK_FILE: Final = "codebook.safetensors"
INDEX_FILE: Final = "model_index.json"

_WHOLE_BYTES: Final = 2**24
"""Files up to this size go into a fingerprint whole, larger ones only in pieces: Wan with UMT5 has 24 GB."""
_PIECES: Final = 1024
_PIECE_BYTES: Final = 4096

_CHECKED_LIBRARIES: Final = ("model", "diffusers")


def check_model_directory(directory: Path, *, given: Collection[str] = ()) -> None:
    """Compare every component's files with its configuration, reading headers only.

    Args:
        directory: what `SoulPipeline.save_pretrained` wrote.
        given: components that the caller brings and that need not be there.

    Raises:
        ValueError: a missing file, a missing or unknown tensor or one of the wrong shape; the message names
            it.
    """
    index = read_json(directory / INDEX_FILE)
    if index.get("_class_name") != "SoulPipeline":
        raise ValueError(f"{directory / INDEX_FILE}: describes a {index.get('_class_name')}, not a SoulPipeline")
    for name, entry in index.items():
        if name.startswith("_") or name in given or not isinstance(entry, list) or entry[0] is None:
            continue
        library, class_name = public_home(entry[0]), entry[1]
        if not (directory / name).is_dir():
            raise ValueError(f"{directory}: incomplete, it has no {name}/ ({class_name})")
        if library not in _CHECKED_LIBRARIES:
            continue
        try:
            component = getattr(importlib.import_module(library), class_name)
        except (ImportError, AttributeError):
            raise ValueError(f"{directory / INDEX_FILE}: {library} has no {class_name} (component {name!r})") from None
        if issubclass(component, ModelMixin):
            check_component(component, directory / name)


def public_home(library: str) -> str:
    """The package from which a class in a model directory's index is imported; for all classes of ours, `model`.

    diffusers writes down the module that holds a class, and a class may move to another after that.
    """
    return "model" if library.partition(".")[0] == "model" else library


def check_component(component: type[Any], folder: Path) -> None:
    """Compare one component's files with its configuration, reading headers only.

    Raises:
        ValueError: it is of another class, a file is missing, or a tensor is missing, unknown or of the wrong shape.
    """
    config = read_json(folder / "config.json")
    if config.get("_class_name", component.__name__) != component.__name__:
        raise ValueError(f"{folder}: holds a {config['_class_name']}, not {component.__name__}")
    try:
        with init_empty_weights():
            empty = component.from_config(config)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'}: does not make a {component.__name__}: {error}") from error
    expected = {key: tuple(tensor.shape) for key, tensor in empty.state_dict().items()}
    found: dict[str, tuple[int, ...]] = {}
    for file in weight_files(folder):
        found |= read_shapes(file)
    try:
        check_fit(expected, found)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None


def fingerprint(directory: Path) -> str:
    """Sixteen hex digits that tell a model directory from others: names, sizes and contents of its files.

    Large files are read in pieces that are spread evenly over them. Training changes practically every value, so no two
    networks that were trained apart agree in all pieces.
    """
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            size = path.stat().st_size
            digest.update(f"{path.relative_to(directory).as_posix()} {size}\n".encode())
            for piece in _pieces(path, size):
                digest.update(piece)
    return digest.hexdigest()[:16]


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        if size <= _WHOLE_BYTES:
            yield file.read()
            return
        for number in range(_PIECES):
            file.seek((size - _PIECE_BYTES) * number // (_PIECES - 1))
            yield file.read(_PIECE_BYTES)
