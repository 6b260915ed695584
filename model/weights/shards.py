"""Weights written one file at a time: memory holds one of the files, never all of the weights."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from safetensors.torch import save_file
from torch import Tensor

from model.weights.files import WEIGHTS, give_usual_mode

SHARD_BYTES: Final = 2 * 10**9
"""Size of a file: what writing takes of memory. Readers read files of any size."""


def write_shards(
    tensors: Iterable[tuple[str, Tensor]], folder: Path, *, stem: str = WEIGHTS, max_bytes: int = SHARD_BYTES
) -> None:
    """Write tensors, which are made as they are asked for, as safetensors: one file, or several with an index.

    Args:
        tensors: each with its name.
        folder: made if need be; weights of that stem that are in it are replaced.
        stem: what the files' names begin with.
        max_bytes: of tensors in a file; a larger tensor has a file of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{stem}*.safetensors*"):
        old.unlink()
    # How many files there are, which is part of their names, is known at the end.
    written: list[tuple[Path, list[str]]] = []
    pending: dict[str, Tensor] = {}
    pending_bytes = total_bytes = 0

    def write() -> None:
        part = folder / f"{stem}-{len(written) + 1:05}.safetensors.part"
        save_file(pending, part, metadata={"format": "pt"})
        written.append((part, list(pending)))
        pending.clear()

    for name, tensor in tensors:
        if pending and pending_bytes + tensor.nbytes > max_bytes:
            write()
            pending_bytes = 0
        pending[name] = tensor.contiguous()
        pending_bytes += tensor.nbytes
        total_bytes += tensor.nbytes
    write()
    weight_map: dict[str, str] = {}
    for number, (part, names) in enumerate(written, start=1):
        suffix = f"-{number:05}-of-{len(written):05}" if len(written) > 1 else ""
        file = part.rename(folder / f"{stem}{suffix}.safetensors")
        give_usual_mode([file])
        weight_map |= dict.fromkeys(names, file.name)
    if len(written) > 1:
        index = {"metadata": {"total_size": total_bytes}, "weight_map": weight_map}
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
