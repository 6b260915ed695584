"""A board as Grafana's JSON, by its own SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from grafana_foundation_sdk.builders import bargauge, common, dashboard, gauge, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model

from infra.monitoring.boards.board import Board, Panel

SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${source}")
REFRESH: Final = "10s"
SINCE: Final = "now-3h"
COLUMNS: Final = 24


def drawn(board: Board) -> str:
    """The JSON that Grafana imports, with a newline at its end."""
    page = (
        dashboard.Dashboard(board.title)
        .uid(f"soul-{board.name}")
        .description(board.about)
        .tags(["soul"])
        .refresh(REFRESH)
        .time(SINCE, "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    if board.runs:
        page = page.with_variable(_runs(board))
    bottom = 0
    for row in board.rows:
        page = page.with_row(dashboard.Row(row.title).grid_pos(model.GridPos(h=1, w=COLUMNS, x=0, y=bottom)))
        skyline = [bottom + 1] * COLUMNS
        for panel in row.panels:
            page = page.with_panel(_panel(panel).grid_pos(_place(panel, skyline)))
        bottom = max(skyline)
    return JSONEncoder(sort_keys=True, indent=1).encode(page.build()) + "\n"


def _runs(board: Board) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("run")
        .label("Run")
        .datasource(SOURCE)
        .query(f"label_values({board.runs}, run)")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(include_all=True)
        .all_value(".*")
        .multi(multi=True)
    )


def _place(panel: Panel, skyline: list[int]) -> model.GridPos:
    """The highest place that is free, the leftmost of several; the panel is added to the skyline, a bottom a column."""
    starts = range(COLUMNS - panel.width + 1)
    y, x = min((max(skyline[x : x + panel.width]), x) for x in starts)
    skyline[x : x + panel.width] = [y + panel.height] * panel.width
    return model.GridPos(h=panel.height, w=panel.width, x=x, y=y)


def _panel(panel: Panel) -> Any:
    made = _KINDS[panel.kind]()
    made = made.title(panel.title).description(panel.about).datasource(SOURCE).unit(panel.unit).min(0)
    for number, query in enumerate(panel.queries):
        asked = prometheus.Dataquery().expr(query.expr).legend_format(query.legend or "__auto").datasource(SOURCE)
        asked = asked.ref_id(chr(ord("A") + number))
        made = made.with_target(asked.range() if panel.kind in {"lines", "stacked"} else asked.instant())
    return made


def _lines() -> Any:
    legend = (
        common.VizLegendOptions()
        .display_mode(kinds.LegendDisplayMode.LIST)
        .placement(kinds.LegendPlacement.BOTTOM)
        .show_legend(show_legend=True)
    )
    shown = common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING)
    return timeseries.Panel().legend(legend).tooltip(shown).line_width(1).fill_opacity(8)


def _stacked() -> Any:
    return _lines().fill_opacity(35).stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))


def _bars() -> Any:
    return bargauge.Panel().orientation(kinds.VizOrientation.HORIZONTAL).display_mode(kinds.BarGaugeDisplayMode.BASIC)


def _gauge() -> Any:
    return gauge.Panel().max(1)


_KINDS: Final[dict[str, Callable[[], Any]]] = {
    "stat": stat.Panel,
    "gauge": _gauge,
    "lines": _lines,
    "stacked": _stacked,
    "bars": _bars,
}
