"""How a recipe has changed since a training was begun, and which changes are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from training.recipes.recipe import Recipe

Flat = Mapping[str, Any]
"""A recipe by dotted names, and `encoders`: the fingerprint of the networks that encoded its data."""

FIXED: Final = {
    "objective": "its checkpoint has the networks of that one",
    "dmd.critic_lora_rank": "the critic in its checkpoint has that shape",
    "decoder.decoder_base_dim": "the decoder in its checkpoint has that width",
    "decoder.feature_blocks": "its checkpoint has projections of these blocks",
    "encoders": "it has learnt the latents of that model",
}
"""What cannot change under a checkpoint, and why."""

ORDER: Final = frozenset({"data.held_out_fraction", "data.sources"})
"""Fields that change which samples an epoch has, but are not part of the plan's fingerprint."""


def flat(recipe: Recipe, *, encoders: str) -> dict[str, Any]:
    """A whole recipe by dotted names, as a checkpoint keeps it."""
    return {**_flattened(json.loads(json.dumps(asdict(recipe)))), "encoders": encoders}


def changed(before: Flat, now: Flat) -> dict[str, str]:
    """What differs, each as "before, now after". Names that only one of the two has are not compared: fields come and
    go."""
    return {name: f"{before[name]}, now {now[name]}" for name in now if name in before and before[name] != now[name]}


def refusal(before: Flat, now: Flat) -> str | None:
    """One line on why a training cannot go on with a recipe; None when it can."""
    changes = changed(before, now)
    if name := next((each for each in FIXED if each in changes), None):
        return f"{name} was {changes[name]}: {FIXED[name]}"
    return None


def _flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flattened: dict[str, Any] = {}
    for name, value in values.items():
        flattened |= _flattened(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flattened
