"""The slices of a set: the groups that each sample belongs to, for which scores are also reported."""

from __future__ import annotations

from itertools import pairwise

from bench.samples.samples import Sample
from bench.samples.shot import measure_shot

DURATION_EDGES_S = (10.0, 20.0, 27.0, 30.0)
"""Bounds of the duration slices; [27, 30] is the fullest bin of the paper's Fig. 4."""


def slices_of(sample: Sample) -> dict[str, str]:
    """The groups that a sample belongs to, by name of the grouping; `unknown` where it cannot be told."""
    shot = measure_shot(sample)
    return {
        "category": sample.category,
        "mode": sample.mode,
        "language": sample.language,
        "gender": sample.gender,
        "shot": "unknown" if shot is None else shot.value,
        "duration": duration_slice(sample.duration_s),
    }


def duration_slice(duration_s: float | None) -> str:
    """The duration bin, such as `20-27 s`."""
    if duration_s is None:
        return "unknown"
    edges = (0.0, *DURATION_EDGES_S)
    for low, high in pairwise(edges):
        if duration_s < high or (high == edges[-1] and duration_s == high):
            return f"{low:g}-{high:g} s"
    return f"over {edges[-1]:g} s"
