"""What a board is: rows of panels, and the questions that each panel asks Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One question, and how its answers are named."""

    expr: str
    """In PromQL; `$run` is the run that was chosen, `$__rate_interval` Grafana's."""
    legend: str = ""
    """With `{{label}}` for the values of labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One picture."""

    title: str
    about: str
    """What it shows, and what to make of it; people see it beside the title."""
    queries: tuple[Query, ...]
    kind: Literal["stat", "gauge", "lines", "stacked", "bars"] = "lines"
    unit: str = "short"
    """Grafana's name of the unit."""
    width: int = 8
    """Of 24."""
    height: int = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Panels that answer one question."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """One page."""

    name: str
    """Of its file, and of its address in Grafana: `soul-NAME`."""
    title: str
    about: str
    runs: str
    """The series whose label `run` names what can be chosen; empty for none."""
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Those of all rows."""
        return tuple(panel for row in self.rows for panel in row.panels)


def stat(title: str, about: str, expr: str, unit: str = "short", *, width: int = 4) -> Panel:
    """One number, large."""
    return Panel(title=title, about=about, queries=(Query(expr=expr),), kind="stat", unit=unit, width=width, height=4)
