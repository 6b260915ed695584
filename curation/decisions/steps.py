"""The order in which clips are decided, and which settings are thresholds on stored scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curation.backends.settings import decisive
from curation.pipeline import STAGES, CurationConfig, StagesConfig
from curation.rules.rule import Rule
from curation.stages.sync import SyncConfig

SOUND = "sync"
"""The stage whose rules are about the sound of a shot's clips together; it rejects none."""


@dataclass(frozen=True, slots=True)
class Step:
    """Scores that are measured together, and the rules that are asked once they are there."""

    stage: str
    rules: tuple[Rule, ...] = ()


def steps(config: StagesConfig) -> tuple[Step, ...]:
    """The steps of the pipeline. A clip that is rejected in one has no scores of those after it."""
    found = []
    for stage in STAGES:
        settings = getattr(config, stage)
        looks = getattr(settings, "rules_by_look", None) or (getattr(settings, "rules", ()),)
        found += [Step(stage, rules) for rules in looks]
    return tuple(found)


def thresholds(config: StagesConfig) -> dict[str, Any]:
    """The settings, as `stages.STAGE.FIELD`, that only decide on what is stored, with their values."""
    named = {
        (step.stage, limit.setting): None
        for step in steps(config)
        for rule in step.rules
        for limit in (*rule.limits, *filter(None, [rule.unsettled]))
        if limit.setting
    }
    sound = {(SOUND, field.name): None for field in dataclasses.fields(SyncConfig) if "backend" not in field.name}
    order = {stage: index for index, stage in enumerate(STAGES)}
    names = sorted({**named, **sound}, key=lambda name: order[name[0]])
    return {f"stages.{stage}.{name}": getattr(getattr(config, stage), name) for stage, name in names}


def differences(before: CurationConfig, after: CurationConfig) -> dict[str, tuple[Any, Any]]:
    """The settings that can change a decision and differ, by their dotted names: value before, value after."""

    def flat(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in values.items():
            nested = isinstance(value, Mapping) and bool(value)
            found |= flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
        return found

    one, other = ({**flat(decisive(x.stages), "stages."), **_models(x)} for x in (before, after))
    return {name: (one.get(name), other.get(name)) for name in {**one, **other} if one.get(name) != other.get(name)}


def _models(config: CurationConfig) -> dict[str, Any]:
    """The models in use, each as one value."""
    return {f"models.{name}": values for name, values in config.models_in_use.items()}
