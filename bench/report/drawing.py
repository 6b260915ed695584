"""Small plots as SVG: lines over time, marks at moments, maps of distances. Text in them is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

Array = npt.NDArray[np.float64]

WIDTH, HEIGHT = 640, 150
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 22
MAX_POINTS = 320
"""Most points of a line: the plot has no pixels to show more."""
NUM_COLOURS = 8
"""Classes `c0` … `c7` in the style sheet; further methods use the same ones, dashed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A curve, with a band around it where there is one."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    colour: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """Lines in one frame."""

    title: str
    x_label: str
    lines: Sequence[Line]
    marks: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Kind of mark (a CSS class) → its places on the x axis."""


def draw(plot: Plot) -> Markup:
    """The plot as one `svg` element, as wide as its container."""
    xs = [float(x) for line in plot.lines for x in line.x] + [
        float(x) for places in plot.marks.values() for x in places
    ]
    ys = [float(y) for line in plot.lines for part in (line.y, line.low, line.high) for y in part or ()]
    if not xs:
        return Markup("")
    x_range, y_range = _range(xs), _range(ys or [0.0, 1.0])
    inside = [
        _axes(plot.x_label, x_range, y_range),
        *(_marks(kind, places, x_range) for kind, places in plot.marks.items()),
        *(_line(line, x_range, y_range) for line in plot.lines),
    ]
    label = escape(plot.title)
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, label, Markup("").join(inside)
    )


def draw_map(
    title: str, values: Array, x_labels: Sequence[str], y_label: str, *, best: Literal["low", "high"]
) -> Markup:
    """A map of `(rows, columns)` values, bright where best, with the best of each row marked."""
    values = values if best == "high" else -values
    rows, columns = values.shape
    width, height = (WIDTH - LEFT - RIGHT) / columns, min(14.0, 220 / rows)
    picture = Markup('<image x="{}" y="{}" width="{}" height="{:.1f}" preserveAspectRatio="none" href="{}"/>').format(
        LEFT, TOP, WIDTH - LEFT - RIGHT, rows * height, _pixels(values)
    )
    bests = "".join(
        f"M{LEFT + (int(np.argmax(row)) + 0.5) * width:.1f} {TOP + index * height:.1f}v{height:.1f}"
        for index, row in enumerate(values)
    )
    bottom = TOP + rows * height
    ticks = [
        Markup('<text class="x" x="{:.1f}" y="{:.1f}">{}</text>').format(
            LEFT + (place + 0.5) * width, bottom + 15, x_labels[place]
        )
        for place in sorted({0, columns // 2, columns - 1})
    ]
    return Markup('<svg class="plot map" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}{}{}</svg>').format(
        WIDTH,
        bottom + BOTTOM,
        title,
        picture + Markup('<path class="mark best" d="{}"/>').format(bests),
        Markup("").join(ticks),
        Markup('<text class="y" x="{}" y="{}">{}</text>').format(LEFT - 6, TOP + 10, y_label),
    )


def _pixels(values: Array) -> str:
    """A PNG with one pixel for each value; as rectangles the map would take a hundred times as many bytes."""
    low, high = _range(values.ravel().tolist())
    grey = np.round(255 * (values - low) / (high - low)).astype(np.uint8)
    coded = cv2.imencode(".png", cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS))[1]
    return "data:image/png;base64," + base64.b64encode(coded.tobytes()).decode()


def _range(values: Iterable[float]) -> tuple[float, float]:
    array = np.array(list(values), np.float64)
    low, high = float(array.min()), float(array.max())
    if high - low < 1e-12 * max(1.0, abs(high)):
        return low - 0.5, high + 0.5
    return low, high


def _scale(values: Sequence[float], span: tuple[float, float], start: float, end: float) -> list[float]:
    return [start + (value - span[0]) / (span[1] - span[0]) * (end - start) for value in values]


def _axes(x_label: str, x_range: tuple[float, float], y_range: tuple[float, float]) -> Markup:
    bottom = HEIGHT - BOTTOM
    frame = Markup('<rect class="frame" x="{}" y="{}" width="{}" height="{}"/>').format(
        LEFT, TOP, WIDTH - LEFT - RIGHT, bottom - TOP
    )
    text = Markup('<text class="{}" x="{}" y="{}">{}</text>')
    return Markup("").join(
        [
            frame,
            text.format("y", LEFT - 6, TOP + 10, f"{y_range[1]:.3g}"),
            text.format("y", LEFT - 6, bottom, f"{y_range[0]:.3g}"),
            text.format("x start", LEFT, HEIGHT - 6, f"{x_range[0]:.3g}"),
            text.format("x", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label),
            text.format("x end", WIDTH - RIGHT, HEIGHT - 6, f"{x_range[1]:.3g}"),
        ]
    )


def _line(line: Line, x_range: tuple[float, float], y_range: tuple[float, float]) -> Markup:
    step = max(1, -(-len(line.x) // MAX_POINTS))
    xs = _scale(line.x[::step], x_range, LEFT, WIDTH - RIGHT)
    kind = f"c{line.colour % NUM_COLOURS}" + (" again" if line.colour >= NUM_COLOURS else "")
    parts = []
    if line.low is not None and line.high is not None:
        upper = _points(xs, _scale(line.high[::step], y_range, HEIGHT - BOTTOM, TOP))
        lower = _points(xs[::-1], _scale(line.low[::step][::-1], y_range, HEIGHT - BOTTOM, TOP))
        parts.append(Markup('<polygon class="band {}" points="{} {}"/>').format(kind, upper, lower))
    ys = _scale(line.y[::step], y_range, HEIGHT - BOTTOM, TOP)
    parts.append(
        Markup('<polyline class="line {}" points="{}"><title>{}</title></polyline>').format(
            kind, _points(xs, ys), line.name
        )
    )
    return Markup("").join(parts)


def _marks(kind: str, places: Sequence[float], x_range: tuple[float, float]) -> Markup:
    # Onsets are drawn in the upper half and peaks in the lower, so that a matching pair makes one stroke.
    middle = (TOP + HEIGHT - BOTTOM) / 2
    ends = {"onset": (TOP, middle), "peak": (middle, HEIGHT - BOTTOM)}.get(kind, (TOP, HEIGHT - BOTTOM))
    path = "".join(f"M{x:.1f} {ends[0]}V{ends[1]}" for x in _scale(places, x_range, LEFT, WIDTH - RIGHT))
    return Markup('<path class="mark {}" d="{}"/>').format(kind, path)


def _points(xs: Sequence[float], ys: Sequence[float]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
