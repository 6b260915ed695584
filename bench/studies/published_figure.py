"""The figure of the study of published videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.studies.published_scores import PAPER, Meeting

REACH_FRAMES: Final = 50
"""Shifts shown each way."""


def draw_figure(
    path: Path,
    every: Sequence[Meeting],
    protocols: Mapping[str, Mapping[str, Mapping[str, float]]],
    effects: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> None:
    """Write a PNG: methods under each protocol, AV-Align by shift of the sound, what each control changes.

    Args:
        path: of the PNG.
        every: onsets and peaks of all videos.
        protocols: name → method → sample → AV-Align.
        effects: value → control → the fields of an `Effect`.
    """
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    methods, shifts, controls = figure.subplots(1, 3, width_ratios=[1, 1, 1.2])
    _draw_methods(methods, protocols)
    _draw_shifts(shifts, every, effects["av_align"]["random peaks"]["wrong"])
    _draw_effects(controls, effects)
    figure.savefig(path, dpi=100)


def _draw_methods(panel: Axes, protocols: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    names = sorted(set.intersection(*(set(scores) for scores in protocols.values())), key=lambda one: PAPER.get(one, 0))
    for offset, (protocol, scores) in enumerate(protocols.items()):
        for place, method in enumerate(names):
            values = list(scores[method].values())
            x = place + 0.18 * (offset + 1 - len(protocols) / 2)
            panel.plot([x] * len(values), values, ".", color=f"C{offset}", alpha=0.4)
            label = f"{protocol} (mean)" if place == 0 else None
            panel.plot(x, np.mean(values), "_", color=f"C{offset}", markersize=16, markeredgewidth=3, label=label)
    known = [(place, PAPER[method]) for place, method in enumerate(names) if method in PAPER]
    panel.plot([x - 0.3 for x, _ in known], [y for _, y in known], "k*", label="paper, 226 samples")
    panel.set_xticks(range(len(names)), names, fontsize="small")
    panel.set_title("AV-Align of each video", fontsize="medium")
    panel.legend(fontsize="small")


def _draw_shifts(panel: Axes, every: Sequence[Meeting], chance: float) -> None:
    shifts = np.arange(-REACH_FRAMES, REACH_FRAMES + 1)
    curves = np.array([[one.shifted(int(shift)) for shift in shifts] for one in every])
    mean, error = curves.mean(axis=0), curves.std(axis=0) / np.sqrt(len(curves))
    panel.plot(shifts, mean)
    panel.fill_between(shifts, mean - error, mean + error, alpha=0.2)
    panel.axhline(chance, color="k", linestyle=":", label="random peaks")
    panel.axvline(0, color="k", linewidth=0.5)
    panel.set_xlabel("sound late by frames")
    panel.set_title(f"AV-Align by shift, {len(every)} videos", fontsize="medium")
    panel.legend(fontsize="small")


def _draw_effects(panel: Axes, effects: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    found = [
        (f"{value}:\n{control}", one["change"]) for value, group in effects.items() for control, one in group.items()
    ]
    for place, (_, change) in enumerate(found):
        panel.plot(change["value"], -place, "o", color="C0")
        if change["low"] is not None:
            panel.plot([change["low"], change["high"]], [-place, -place], color="C0")
    panel.axvline(0, color="k", linewidth=0.5)
    panel.set_yticks([-place for place in range(len(found))], [name for name, _ in found], fontsize="x-small")
    panel.set_title("change under wrong sound, 95 % over samples", fontsize="medium")
