"""What a row's `detail` shows: curves over time, onsets against motion, agreement by offset.

Metrics name their evidence by what it is, and the report draws it by its name and shape:

- `<name>_by_second`: a value for each second of the video, null where there is none;
- `onsets_s`, `peaks_s`, `motion`, `fps`: sound onsets, motion peaks, and the motion of every frame;
- `curve` or `<name>_curve`: a value for each offset from −N to N frames, hence odd in number;
- `<name>_map`: a row for each moment, a value for each offset.

What has another shape is not drawn; a page must not fail on a row that some other machine wrote.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from bench.report.drawing import Line, Plot, draw, draw_map
from bench.rows import Row
from bench.stats.bootstrap import bootstrap_mean

BY_SECOND: Final = "_by_second"
MAX_MAP_ROWS: Final = 60
NUM_BAND_RESAMPLES: Final = 500
MIN_BAND_VIDEOS: Final = 3
"""Videos that must last so long for a point of a method's curve."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One piece of evidence."""

    title: str
    about: str
    """How to read it."""
    svg: Markup


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """How one measure runs over time, all methods in one plot."""

    metric: str
    name: str
    svg: Markup
    methods: Sequence[str]
    """In the order of their colours."""
    num_videos: Mapping[str, int]
    """By method."""


def pictures(row: Row) -> list[Picture]:
    """All that can be drawn of a row's detail."""
    drawn = [_meeting(row.detail)]
    for name, content in row.detail.items():
        drawn.append(_piece(str(name), content))
    return [one for one in drawn if one is not None and one.svg]


def drift_curves(rows: Iterable[Row], colours: Mapping[str, int]) -> list[Drift]:
    """Mean curves over time with 95 % bands, by metric and name; rows of one protocol a metric.

    A point stands where at least three videos of the method last so long (all of them, where it has fewer).

    Args:
        rows: without a control.
        colours: method → number of its colour.
    """
    found: dict[tuple[str, str], dict[str, list[list[float | None]]]] = {}
    for row in rows:
        for name, content in row.detail.items():
            curve = _numbers(content, gaps=True) if str(name).endswith(BY_SECOND) else None
            if curve:
                group = found.setdefault((row.metric, str(name).removesuffix(BY_SECOND)), {})
                group.setdefault(row.method, []).append(curve)
    drifts = []
    for (metric, name), methods in sorted(found.items()):
        lines = [_mean_line(method, methods[method], colours[method]) for method in sorted(methods)]
        plot = Plot(title=f"{metric}: {name} over time", x_label="seconds", lines=[one for one in lines if one.x])
        drifts.append(
            Drift(
                metric=metric,
                name=name,
                svg=draw(plot),
                methods=sorted(methods),
                num_videos={method: len(curves) for method, curves in methods.items()},
            )
        )
    return drifts


def _mean_line(method: str, curves: Sequence[Sequence[float | None]], colour: int) -> Line:
    x, y, low, high = [], [], [], []
    for second in range(max(len(curve) for curve in curves)):
        column = [curve[second] for curve in curves if second < len(curve)]
        values = [value for value in column if value is not None]
        if not values or len(values) < min(MIN_BAND_VIDEOS, len(curves)):
            continue
        interval = bootstrap_mean(values, num_resamples=NUM_BAND_RESAMPLES)
        x.append(second + 0.5)
        y.append(interval.value)
        low.append(interval.value if interval.low is None else interval.low)
        high.append(interval.value if interval.high is None else interval.high)
    return Line(name=method, x=x, y=y, low=low, high=high, colour=colour)


def _piece(name: str, content: Any) -> Picture | None:
    words = name.replace("_", " ")
    if name.endswith(BY_SECOND):
        curve = _numbers(content, gaps=True)
        points = [(second + 0.5, value) for second, value in enumerate(curve or ()) if value is not None]
        line = Line(name=words, x=[x for x, _ in points], y=[y for _, y in points])
        return Picture(title=words, about="", svg=draw(Plot(title=words, x_label="seconds", lines=[line])))
    if name == "curve" or name.endswith("_curve"):
        return _by_offset(words, content)
    if name.endswith("_map"):
        return _map(words, content)
    return None


def _meeting(detail: Mapping[str, Any]) -> Picture | None:
    onsets, peaks = _numbers(detail.get("onsets_s")), _numbers(detail.get("peaks_s"))
    if onsets is None or peaks is None:
        return None
    motion, fps = _numbers(detail.get("motion")) or [], detail.get("fps")
    lines = []
    if motion and isinstance(fps, (int, float)) and fps > 0:
        lines.append(Line(name="motion", x=[index / fps for index in range(len(motion))], y=motion))
    title = f"{len(onsets)} sound onsets, {len(peaks)} motion peaks"
    plot = Plot(title=title, x_label="seconds", lines=lines, marks={"onset": onsets, "peak": peaks})
    about = "Onsets hang from the top, peaks stand on the bottom; a stroke that goes through is a pair that meets."
    return Picture(title=title, about=about, svg=draw(plot))


def _by_offset(words: str, content: Any) -> Picture | None:
    curve = _numbers(content)
    if curve is None or len(curve) < 3 or len(curve) % 2 == 0:
        return None
    reach = len(curve) // 2
    line = Line(name=words, x=list(range(-reach, reach + 1)), y=curve)
    plot = Plot(title=f"{words} by offset", x_label="offset in frames", lines=[line], marks={"zero": [0.0]})
    return Picture(title=f"{words} by offset", about="The line at 0 is sound and picture as they are.", svg=draw(plot))


def _map(words: str, content: Any) -> Picture | None:
    if not isinstance(content, list):
        return None
    rows = [_numbers(row) for row in content]
    if not rows or rows[0] is None or not rows[0] or any(row is None or len(row) != len(rows[0]) for row in rows):
        return None
    values = np.array(rows, np.float64)
    step = -(-len(values) // MAX_MAP_ROWS)
    reach = values.shape[1] // 2
    labels = [str(index - reach) for index in range(values.shape[1])]
    about = "Time runs down, offset in frames to the right; dark is near, the nearest of each row stands out."
    return Picture(title=words, about=about, svg=draw_map(words, values[::step], labels, "time"))


def _numbers(content: Any, *, gaps: bool = False) -> list[Any] | None:
    """A list of finite numbers (and None where gaps are allowed), or None if it is something else."""
    if not isinstance(content, list):
        return None
    for value in content:
        if value is None and gaps:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return None
    return content
