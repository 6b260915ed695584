"""Checkpoints looked into and tampered with."""

import json
import zlib
from pathlib import Path

import torch


def rewrite_state(checkpoint: Path, **changes: object) -> None:
    """Change fields of a checkpoint's state, and its manifest to match; None removes a field."""
    path, manifest = checkpoint / "state.json", checkpoint / "manifest.json"
    state = json.loads(path.read_text()) | changes
    text = json.dumps({name: value for name, value in state.items() if value is not None}).encode()
    path.write_bytes(text)
    described = {"bytes": len(text), "crc32": zlib.crc32(text)}
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"state.json": described}))


def checkpoint_tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Every tensor that a checkpoint holds, by file and place, except for the states of random generators."""
    found: dict[str, torch.Tensor] = {}
    for path in sorted(checkpoint.rglob("*.pt")):
        if not path.name.startswith("random-"):
            _collect(torch.load(path, weights_only=False), str(path.relative_to(checkpoint)), found)
    return found


def _collect(value: object, name: str, found: dict[str, torch.Tensor]) -> None:
    if isinstance(value, torch.Tensor):
        found[name] = value
    elif isinstance(value, dict):
        for key, each in value.items():
            _collect(each, f"{name}/{key}", found)
    elif isinstance(value, (list, tuple)):
        for number, each in enumerate(value):
            _collect(each, f"{name}/{number}", found)
