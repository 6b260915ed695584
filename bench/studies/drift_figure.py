"""The figure of the drift study: statistics over clips under each treatment, and what the videos look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.studies.drift_scores import ClipStatistics
from bench.studies.generation import Generated

PANELS: Final[Mapping[str, Callable[[ClipStatistics, ClipStatistics], float]]] = {
    "colour: ΔE to the first clip": lambda clip, first: float(
        np.linalg.norm(np.subtract(clip.lab_mean, first.lab_mean))
    ),
    "contrast: spread of L over the first's": lambda clip, first: clip.lab_std[0] / first.lab_std[0],
    "detail: sharpness over the first's": lambda clip, first: clip.sharpness / first.sharpness,
    "latent norm over the first's": lambda clip, first: clip.latent_norm / first.latent_norm,
    "latents beyond the 99th percentile": lambda clip, _first: clip.beyond,
    "distance to centroid over τ(99 %)": lambda clip, _first: clip.codebook_distance,
}
NUM_PICTURES: Final = 10


def draw_figure(
    path: Path, statistics: Mapping[str, Sequence[Sequence[ClipStatistics]]], shown: Mapping[str, Generated]
) -> None:
    """Write a PNG: a panel for each statistic (mean over people ± a standard error), a strip for each video."""
    figure = Figure(figsize=(13, 6 + 1.25 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[6, 1.25 * len(shown)])[:, 0]
    panels = above.subplots(2, 3).ravel()
    for panel, (title, value) in zip(panels, PANELS.items(), strict=True):
        for name, people in statistics.items():
            values = np.array([[value(clip, clips[0]) for clip in clips] for clips in people])
            mean, error = values.mean(axis=0), values.std(axis=0) / np.sqrt(len(values))
            clip_numbers = np.arange(1, len(mean) + 1)
            panel.plot(clip_numbers, mean, label=f"clamp: {name}")
            panel.fill_between(clip_numbers, mean - error, mean + error, alpha=0.2)
        panel.set_title(title, fontsize="medium")
        panel.set_xlabel("clip")
    panels[0].legend(fontsize="small")
    strips = below.subplots(len(shown), 1, squeeze=False)[:, 0]
    for row, (name, video) in zip(strips, shown.items(), strict=True):
        at = np.linspace(0, len(video.frames) - 1, NUM_PICTURES).round().astype(int)
        row.imshow(np.hstack(list(video.frames[at])))
        row.set_axis_off()
        row.set_title(f"clamp: {name}", loc="left", fontsize="small")
    figure.savefig(path, dpi=110)
