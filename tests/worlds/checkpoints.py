"""Checkpoints looked into and tampered with."""

import json
import zlib
from pathlib import Path

import torch
from safetensors.torch import load_file


def rewrite_state(checkpoint: Path, **changes: object) -> None:
    """Change fields of a checkpoint's state, and its manifest to match; None removes a field."""
    path, manifest = checkpoint / "state.json", checkpoint / "manifest.json"
    state = json.loads(path.read_text()) | changes
    text = json.dumps({name: value for name, value in state.items() if value is not None}).encode()
    path.write_bytes(text)
    described = {"bytes": len(text), "crc32": zlib.crc32(text)}
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"state.json": described}))


def checkpoint_tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Every tensor that a checkpoint holds, by file and name."""
    found: dict[str, torch.Tensor] = {}
    for path in sorted(checkpoint.rglob("*.safetensors")):
        for name, tensor in load_file(path).items():
            found[f"{path.relative_to(checkpoint)}/{name}"] = tensor
    return found
