"""The models that a profile can choose, with their settings: `curation.models` of a profile.

A model's settings lie beside its backend, in a module that imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from curation.backends.faces.retinaface.config import RetinaFaceConfig
from curation.backends.lips.syncnet.config import SyncNetConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelsConfig:
    """Where each model's weights or server are, and how it runs; only what a stage's backend uses is ever looked at."""

    retinaface: RetinaFaceConfig = RetinaFaceConfig()
    syncnet: SyncNetConfig = SyncNetConfig()


NO_MODELS: Final = ModelsConfig()
"""All settings at their defaults, under which backends without weights run."""
