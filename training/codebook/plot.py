"""A picture of a codebook: how far training latents lie from their centroids, and how many each centroid has."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from model.generation.codebook import Codebook

PERCENTILES: Final = (95, 99)
"""Percentiles at which the clamp's threshold may be set; 99 is the pipeline's default."""


def plot_codebook(codebook: Codebook) -> bytes:
    """The distance quantiles with τ at two percentiles, and the counts; a PNG."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    distances, counts = figure.subplots(1, 2)
    _plot_distances(distances, codebook)
    _plot_counts(counts, codebook)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()


def _plot_distances(axes: Axes, codebook: Codebook) -> None:
    quantiles = codebook.distance_quantiles.numpy()
    axes.plot(np.linspace(0, 100, len(quantiles)), quantiles, color="tab:blue")
    for percentile, colour in zip(PERCENTILES, ("tab:orange", "tab:red"), strict=True):
        threshold = codebook.threshold_at(percentile)
        axes.axvline(percentile, color=colour, linewidth=0.8, linestyle=":")
        axes.axhline(threshold, color=colour, linewidth=0.8, label=f"τ at {percentile} %: {threshold:.3g}")
    axes.set(title="Distance to the nearest centroid", xlabel="percentile of training vectors", ylabel="distance")
    axes.set_xlim(0, 100)
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")


def _plot_counts(axes: Axes, codebook: Codebook) -> None:
    counts = np.sort(codebook.counts.numpy())[::-1]
    axes.plot(np.arange(1, len(counts) + 1), counts, color="tab:blue", drawstyle="steps-mid")
    axes.axhline(counts.mean(), color="tab:gray", linewidth=0.8, label=f"mean {counts.mean():,.0f}")
    axes.set(title=f"Vectors of each of {len(counts):,} centroids", xlabel="centroid, largest first", ylabel="vectors")
    axes.set_yscale("log")
    axes.legend(loc="upper right")
