"""Drawing a row's `detail`: curves over time, onsets against motion, agreement by offset.

The report draws each piece of evidence by its name and shape:

- `<name>_by_second`: a value for each second of the video, null where there is none;
- `times_s`, and any list that is as long: values at those times;
- `onsets_s`, `peaks_s`, `motion`, `fps`: sound onsets, motion peaks, and the motion of every frame;
- `curve`, `distances`: agreement or distance at each offset between −N and N frames (`bench.report.offsets`);
- `<name>_map`: a row for each moment, a value for each offset.

Evidence of another shape is not drawn: the page must not fail on a row that another machine wrote.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from bench.report.drawing import Line, Plot, draw, draw_map
from bench.report.offsets import MAX_MAP_ROWS, OffsetCurve, offset_curve
from bench.rows import Row
from bench.stats.bootstrap import bootstrap_mean

BY_SECOND: Final = "_by_second"
MAX_DURATION_S: Final = 24 * 3600.0
"""A list with larger values is not taken for times."""
NUM_BAND_RESAMPLES: Final = 500
MIN_BAND_VIDEOS: Final = 3
"""A method's curve has a point only where this many videos last that long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidencePlot:
    """One piece of evidence."""

    title: str
    about: str
    """How to read it."""
    svg: Markup


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """One measure over time, all methods in one plot."""

    metric: str
    name: str
    svg: Markup
    methods: Sequence[str]
    """In the order of their colours."""
    num_videos: Mapping[str, int]
    """By method."""


def pictures(row: Row) -> list[EvidencePlot]:
    """All that can be drawn of a row's detail."""
    drawn = [_meeting(row.detail)]
    drawn.extend(_over_time(name, curve) for name, curve in curves_by_second(row.detail).items())
    drawn.extend(_by_offset(str(name), content) for name, content in row.detail.items())
    drawn.extend(_map(str(name), content) for name, content in row.detail.items())
    return [one for one in drawn if one is not None and one.svg]


def drift_curves(rows: Iterable[Row], colours: Mapping[str, int]) -> list[Drift]:
    """Mean curves over time with 95 % bands, by metric and name; rows of one protocol for each metric.

    A point is drawn where at least three videos of the method last that long (all of them, if it has fewer).

    Args:
        rows: without a control.
        colours: method → number of its colour.
    """
    found: dict[tuple[str, str], dict[str, list[list[float | None]]]] = {}
    for row in rows:
        for name, curve in curves_by_second(row.detail).items():
            found.setdefault((row.metric, name), {}).setdefault(row.method, []).append(curve)
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


def curves_by_second(detail: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """The curves over time in a detail: name → mean of each second, None for seconds without a value."""
    found: dict[str, list[float | None]] = {}
    times_s = _numbers(detail.get("times_s")) or []
    for name, content in detail.items():
        if str(name).endswith(BY_SECOND):
            curve = _numbers(content, gaps=True)
        elif times_s and min(times_s) >= 0 and max(times_s) < MAX_DURATION_S and name != "times_s":
            numbers = _numbers(content)
            curve = _by_second(times_s, numbers) if numbers is not None and len(numbers) == len(times_s) else None
        else:
            continue
        if curve and any(value is not None for value in curve):
            found[str(name).removesuffix(BY_SECOND)] = curve
    return found


def offset_curve_of(row: Row) -> OffsetCurve | None:
    """The row's curve over offsets, if it has one."""
    curves = (offset_curve(str(name), _numbers(content)) for name, content in row.detail.items())
    return next((curve for curve in curves if curve is not None), None)


def _by_second(times_s: Sequence[float], values: Sequence[float]) -> list[float | None]:
    seconds: list[list[float]] = [[] for _ in range(int(max(times_s)) + 1)]
    for time_s, value in zip(times_s, values, strict=True):
        seconds[int(time_s)].append(value)
    return [float(np.mean(second)) if second else None for second in seconds]


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


def _over_time(name: str, curve: Sequence[float | None]) -> EvidencePlot:
    words = name.replace("_", " ")
    points = [(second + 0.5, value) for second, value in enumerate(curve) if value is not None]
    line = Line(name=words, x=[x for x, _ in points], y=[y for _, y in points])
    return EvidencePlot(title=words, about="", svg=draw(Plot(title=words, x_label="seconds", lines=[line])))


def _meeting(detail: Mapping[str, Any]) -> EvidencePlot | None:
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
    return EvidencePlot(title=title, about=about, svg=draw(plot))


def _by_offset(name: str, content: Any) -> EvidencePlot | None:
    curve = offset_curve(name, _numbers(content))
    if curve is None:
        return None
    reach = len(curve.values) // 2
    title = "distance by offset" if curve.is_distance else "agreement by offset"
    line = Line(name=title, x=list(range(-reach, reach + 1)), y=curve.values)
    plot = Plot(title=title, x_label="offset in frames", lines=[line], marks={"zero": [0.0]})
    return EvidencePlot(title=title, about="The line at 0 is sound and picture as they are.", svg=draw(plot))


def _map(name: str, content: Any) -> EvidencePlot | None:
    if not name.endswith("_map") or not isinstance(content, list):
        return None
    words = name.replace("_", " ")
    rows = [_numbers(row) for row in content]
    if not rows or rows[0] is None or not rows[0] or any(row is None or len(row) != len(rows[0]) for row in rows):
        return None
    values = np.array(rows, np.float64)
    step = -(-len(values) // MAX_MAP_ROWS)
    reach = values.shape[1] // 2
    labels = [str(index - reach) for index in range(values.shape[1])]
    about = "Time runs down, offset in frames to the right; bright is near, the nearest of each row stands out."
    return EvidencePlot(title=words, about=about, svg=draw_map(words, values[::step], labels, "time", best="low"))


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
