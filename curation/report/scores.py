"""The scores of a run with their thresholds, as the report's page shows them and decides by them."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from curation.decisions.decide import columns_needed, steps_reached
from curation.decisions.index import decided_index_of
from curation.decisions.steps import SOUND, Step, steps
from curation.pipeline import CurationConfig
from curation.rules.rule import Limit, Rule
from curation.shards.columns import numbers, strings
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import Version
from infra.config import ConfigError, build

SOUND_SCORES: Final = {
    "audio_level_db": ("silence_db", "loudest 0.1 s, dB"),
    "speech_fraction": ("min_speech_fraction", "share of the time with a voice"),
    "sync_mouth_speed": ("min_mouth_speed", "speed of the mouth, face widths/s"),
    "sync_pooled_confidence": ("min_confidence", "peak of the shot's agreement, best minus median"),
    "sync_pooled_agreement": ("max_chance_agreement", "agreement of the shot within the tolerated offset"),
}
"""Scores of sound → the threshold that is closest to it, and what it is."""


def scores_data(directory: RunDirectory, *, max_rows: int, seed: int) -> Markup | str:
    """What the page's script needs, as JSON that a page can hold; or a line that says why there is nothing.

    Args:
        directory: the run, or a version of it.
        max_rows: at most so many rows are taken, drawn at random.
        seed: of the draw.
    """
    try:
        config = _settings(directory)
    except ConfigError as error:
        return str(error)
    keys = directory.index(["key"])["key"]
    columns = list(dict.fromkeys([*columns_needed(config.stages), *SOUND_SCORES]))
    if len(keys) > max_rows:
        rows = np.random.default_rng(seed).permutation(len(keys))[:max_rows]
        chosen = keys.take(pa.array(np.sort(rows))).combine_chunks()
        drawn = directory.index(columns, where=lambda table: pc.is_in(table["key"], value_set=chosen))
    else:
        drawn = directory.index(columns)
    data = {"total": len(keys), "command": _command(directory), **_described(drawn, config)}
    # A page ends a script at the first closing tag in it, whatever it is a part of.
    return Markup(json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"))


def _settings(directory: RunDirectory) -> CurationConfig:
    if isinstance(directory, Version):
        return build(CurationConfig, directory.info.settings, directory.run)
    return decided_index_of(directory).config


def _command(directory: RunDirectory) -> str:
    run = directory.of_run if isinstance(directory, Version) else directory.run
    return f"python -m curation decide --run {shlex.quote(run)}"


def _described(table: pa.Table, config: CurationConfig) -> dict[str, Any]:
    ordered = steps(config.stages)
    last, stands = steps_reached(table, ordered)
    seconds = np.nan_to_num(numbers(table, "end_s") - numbers(table, "start_s"))
    is_crop = np.array([parent is not None for parent in strings(table, "parent_key")], bool)
    names = dict.fromkeys(limit.score for step in ordered for rule in step.rules for limit in _limits(rule))
    pairs = zip(strings(table, "reject_stage"), strings(table, "reject_rule"), strict=True)
    scores = {name: _plain(numbers(table, name)) for name in names}
    return {
        "steps": [_step(step) for step in ordered],
        "last": last.tolist(),
        "stands": stands.astype(int).tolist(),
        "reasons": [f"{stage}/{rule}" if stage else None for stage, rule in pairs],
        "general": (strings(table, "pool") == "general").astype(int).tolist(),
        # Crops show the same time again.
        "seconds": np.round(np.where(is_crop, 0.0, seconds), 3).tolist(),
        "scores": scores,
        "charts": [chart for chart in _charts(ordered) if any(x is not None for x in scores[chart["score"]])],
        "sound": _sound(table, config),
    }


def _limits(rule: Rule) -> tuple[Limit, ...]:
    return rule.limits if rule.unsettled is None else (*rule.limits, rule.unsettled)


def _step(step: Step) -> dict[str, Any]:
    rules = [
        {
            "name": rule.name,
            "humansOnly": rule.humans_only,
            "limits": [asdict(limit) for limit in rule.limits],
            "unsettled": asdict(rule.unsettled) if rule.unsettled else None,
        }
        for rule in step.rules
    ]
    return {"stage": step.stage, "rules": rules}


def _charts(ordered: tuple[Step, ...]) -> list[dict[str, Any]]:
    """One for each threshold: of the score that is held against it first."""
    charts: dict[tuple[str, str], dict[str, Any]] = {}
    for number, step in enumerate(ordered):
        for rule in step.rules:
            for limit in rule.limits:
                if limit.setting and not rule.is_switch:
                    whole = isinstance(limit.threshold, int)
                    chart = {"step": number, "stage": step.stage, "rule": rule.name, "whole": whole, **asdict(limit)}
                    charts.setdefault((step.stage, limit.setting), chart)
    return list(charts.values())


def _sound(table: pa.Table, config: CurationConfig) -> list[dict[str, Any]]:
    """The scores of sound of the kept clips, and which of them lost theirs."""
    kept = table["kept"].to_numpy(zero_copy_only=False).astype(bool)
    dropped = np.array([reason is not None for reason in strings(table, "audio_reason")], bool)
    charts = []
    for name, (setting, label) in SOUND_SCORES.items():
        values = numbers(table, name)
        there = kept & np.isfinite(values)
        if there.any():
            chart = {
                "stage": SOUND,
                "setting": setting,
                "label": label,
                "threshold": float(getattr(config.stages.sync, setting)),
                "values": values[there].tolist(),
                "dropped": dropped[there].astype(int).tolist(),
            }
            charts.append(chart)
    return charts


def _plain(values: npt.NDArray[np.float64]) -> list[float | None]:
    """The numbers exactly, None for no number: a page's numbers are the same doubles."""
    return [float(value) if np.isfinite(value) else None for value in values]
