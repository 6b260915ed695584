"""Agreement of lips and sound by offset: one video's curve, and all videos of a method as a map."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from bench.report.drawing import Array, draw_map
from bench.rows import Row

MAX_MAP_ROWS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class OffsetCurve:
    """Agreement or distance at each offset."""

    values: list[float]
    """From −N to N frames."""
    is_distance: bool
    """Whether low values mean agreement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OffsetMap:
    """All videos of a method, one row for each."""

    metric: str
    method: str
    num_videos: int
    svg: Markup


def offset_curve(name: str, numbers: list[Any] | None) -> OffsetCurve | None:
    """The curve that a detail of this name holds, if it is one.

    `curve` is agreement from −N to N; `distances` is SyncNet's, whose i-th entry belongs to offset N − i.
    """
    if name not in {"curve", "distances"} or numbers is None or len(numbers) < 3 or len(numbers) % 2 == 0:
        return None
    is_distance = name == "distances"
    return OffsetCurve(values=numbers[::-1] if is_distance else numbers, is_distance=is_distance)


def offset_maps(rows: Iterable[Row], curve_of: Callable[[Row], OffsetCurve | None]) -> list[OffsetMap]:
    """A map for each metric and method; videos in order of name, at most sixty of them, evenly spaced.

    Args:
        rows: without a control, of one protocol for each metric.
        curve_of: row → its `OffsetCurve`, or None.
    """
    found: dict[tuple[str, str], list[OffsetCurve]] = {}
    for row in rows:
        curve = curve_of(row)
        if curve is not None:
            found.setdefault((row.metric, row.method), []).append(curve)
    maps = []
    for (metric, method), curves in sorted(found.items()):
        length = len(curves[0].values)
        same = [curve for curve in curves if len(curve.values) == length]
        values = np.array([_levelled(curve) for curve in same], np.float64)[:: -(-len(same) // MAX_MAP_ROWS)]
        labels = [str(index - length // 2) for index in range(length)]
        title = f"{metric} of {method} by offset"
        svg = draw_map(title, values, labels, "videos", best="high")
        maps.append(OffsetMap(metric=metric, method=method, num_videos=len(same), svg=svg))
    return maps


def _levelled(curve: OffsetCurve) -> Array:
    """The curve from 0 (this video's worst offset) to 1 (its best): videos differ in level for other reasons."""
    values = np.array(curve.values, np.float64) * (-1 if curve.is_distance else 1)
    spread = values.max() - values.min()
    return (values - values.min()) / spread if spread > 0 else np.zeros_like(values)
