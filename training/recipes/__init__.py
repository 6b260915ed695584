"""The stages' recipes, one YAML file each, with the paper's numbers."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

from infra.config import ConfigError

RECIPES: Final = Path(__file__).resolve().parent


def stages() -> list[str]:
    """Names of all stages that have a recipe."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def check_stage(stage: str) -> None:
    """Refuse a name without a recipe.

    Raises:
        ConfigError: the stage has no recipe; the message names the nearest stage that has one.
    """
    if stage not in stages():
        nearest = difflib.get_close_matches(stage, stages(), n=1, cutoff=0.0)[0]
        raise ConfigError(f"unknown stage {stage!r}, did you mean {nearest!r}? There are: {', '.join(stages())}")
