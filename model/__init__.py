"""Soul's network and pipeline: Wan2.2-TI2V-5B with audio attention in every block (paper, Sec. 3)."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.transformer import SoulTransformer3DModel

__all__ = ["SoulTransformer3DModel"]

# Importing torch and diffusers costs seconds; a command line that only prints its help should not pay them.
_HOMES = {"SoulTransformer3DModel": "model.transformer"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
