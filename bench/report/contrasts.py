"""How a score changes under a control, and between parts of the benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.leaderboard.board import ALPHA, Column
from bench.rows import Row
from bench.stats.bootstrap import Interval, bootstrap_mean
from bench.stats.paired import orient, paired_test, smallest_p
from bench.values import Better


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """A value of the same videos, as they are and under a control."""

    control: str
    real: float
    """Mean of the videos as they are, over those that have both values."""
    wrong: Interval
    """Mean under the control."""
    change: Interval
    """Mean of control − real, in the value's own unit."""
    p_value: float
    num_videos: int
    num_samples: int
    """Independent units: videos of one sample by several methods share sound and picture, and count as one."""
    verdict: str
    """`worse`, `better`, `different`, `no different`, or `too few` where no outcome could have been significant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """A grouping of samples, and every method's score in each group."""

    grouping: str
    groups: Mapping[str, int]
    """Group → its number of samples."""
    cells: Mapping[str, Mapping[str, Interval | None]]
    """Method → group → score."""


def contrasts(rows: Iterable[Row], column: Column) -> list[Contrast]:
    """A column's value under every control against the videos as they are, paired by video.

    Where a value does not rank, controls that leave it unchanged are left out: they show nothing.
    """
    real: dict[tuple[str, str], float] = {}
    wrong: dict[str, dict[tuple[str, str], float]] = {}
    for row in rows:
        if row.metric == column.metric and row.protocol == column.protocol and column.value.name in row.values:
            place = wrong.setdefault(row.control, {}) if row.control else real
            place[row.method, row.sample] = float(row.values[column.value.name])
    found = [_contrast(control, real, wrong[control], column.value.better) for control in sorted(wrong)]
    describes = column.value.better is Better.NEITHER
    return [one for one in found if one is not None and not (describes and _is_untouched(one))]


def _is_untouched(contrast: Contrast) -> bool:
    return contrast.change.value == contrast.change.low == contrast.change.high == 0


def _contrast(
    control: str, real: Mapping[tuple[str, str], float], wrong: Mapping[tuple[str, str], float], better: Better
) -> Contrast | None:
    common = sorted(set(real) & set(wrong))
    if not common:
        return None
    by_sample: dict[str, list[tuple[float, float, float]]] = {}
    for place in common:
        gain = orient({"": wrong[place]}, better)[""] - orient({"": real[place]}, better)[""]
        by_sample.setdefault(place[1], []).append((real[place], wrong[place], gain))
    # (samples, 3): as it is, under the control, and by how much the control is better.
    means = np.array([np.mean(values, axis=0) for values in by_sample.values()])
    p_value = paired_test(means[:, 2])
    verdict = "too few" if smallest_p(len(by_sample), 1) > ALPHA else "no different"
    if p_value <= ALPHA:
        direction = "better" if means[:, 2].mean() > 0 else "worse"
        verdict = "different" if better is Better.NEITHER else direction
    return Contrast(
        control=control,
        real=float(means[:, 0].mean()),
        wrong=bootstrap_mean(means[:, 1]),
        change=bootstrap_mean(means[:, 1] - means[:, 0]),
        p_value=p_value,
        num_videos=len(common),
        num_samples=len(by_sample),
        verdict=verdict,
    )


def slice_scores(
    scores: Mapping[str, Mapping[str, float]], grouping: str, groups: Mapping[str, Sequence[str]]
) -> Slice:
    """Scores of every method in every group.

    Args:
        scores: method → sample → value.
        grouping: its name.
        groups: group → samples.
    """
    cells: dict[str, dict[str, Interval | None]] = {}
    for method, values in sorted(scores.items()):
        cells[method] = {}
        for group, samples in groups.items():
            inside = [values[sample] for sample in samples if sample in values]
            cells[method][group] = bootstrap_mean(inside) if inside else None
    return Slice(grouping=grouping, groups={group: len(samples) for group, samples in groups.items()}, cells=cells)
