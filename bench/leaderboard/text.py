"""The leaderboard as text: for the terminal, and as CSV for further computation."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bench.leaderboard.board import Boards, Cell, Column
from bench.stats.bootstrap import Interval
from bench.values import Better

ARROWS = {Better.HIGHER: "↑", Better.LOWER: "↓", Better.ZERO: "→0", Better.NEITHER: ""}
CSV_COLUMNS = (
    *("metric", "value", "unit", "better", "protocol", "method", "mean", "low", "high", "level"),
    *("rank", "ties", "num_scored", "num_total", "reasons"),
)


def number(value: float | None) -> str:
    """Three significant digits, or a dash."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def bounds(interval: Interval) -> str:
    """`[0.21, 0.25]`, or why there is no interval."""
    if not interval.is_known:
        return f"{interval.num}: too few for an interval"
    return f"[{number(interval.low)}, {number(interval.high)}]"


def p_text(p_value: float) -> str:
    """`p = 0.016`, `p < 0.001`."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def faults(num: int) -> str:
    """A sentence about rows that ended in a fault of the program."""
    rows = "1 row is" if num == 1 else f"{num} rows are"
    return (
        f"{rows} without a value through a fault of the program or a library, not of the video: errors.log beside the "
        "rows has the tracebacks, and `python -m bench evaluate … --retry` computes them again."
    )


def leaderboard(boards: Boards) -> Group:
    """One table for each metric and protocol, for the terminal."""
    parts: list[Table | Text] = []
    columns = [*boards.main, *boards.others]
    for metric, protocol in dict.fromkeys((column.metric, column.protocol) for column in columns):
        chosen = [one for one in columns if (one.metric, one.protocol) == (metric, protocol)]
        parts.append(_table(chosen, is_other=chosen[0] in boards.others))
        parts.extend(Text(note) for note in dict.fromkeys(one.note for one in chosen if one.note))
    if not parts:
        parts.append(Text("No video has been scored yet."))
    if boards.num_faults:
        parts.append(Text(faults(boards.num_faults)))
    return Group(*parts)


def leaderboard_csv(boards: Boards) -> str:
    """One line for each method, value and protocol."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(CSV_COLUMNS)
    for column in (*boards.main, *boards.others):
        for method, cell in column.cells.items():
            writer.writerow(_csv_row(column, method, cell))
    return text.getvalue()


def _csv_row(column: Column, method: str, cell: Cell) -> Iterable[object]:
    interval, value = cell.interval, column.value
    scores = (interval.value, interval.low, interval.high, interval.level) if interval else (None,) * 4
    reasons = "; ".join(f"{count} {reason}" for reason, count in cell.coverage.reasons.items())
    fields = (column.metric, value.name, value.unit, value.better.value, column.protocol, method, *scores, cell.rank)
    counts = (" ".join(cell.ties), cell.coverage.num_scored, cell.coverage.num_total, reasons)
    return [_plain(field) for field in (*fields, *counts)]


def _plain(field: object) -> object:
    """The field, with an apostrophe before text that a spreadsheet would take for a formula."""
    return f"'{field}" if isinstance(field, str) and field[:1] in ("=", "+", "-", "@", "\t", "\r") else field


def _table(columns: list[Column], *, is_other: bool) -> Table:
    """A row for each value and a column for each method: a terminal is narrow, and there are few methods."""
    first = columns[0]
    about = "; another protocol, not comparable with the table above" if is_other else ""
    table = Table(title=Text(f"{first.metric} (protocol {first.protocol}{about})"), title_justify="left")
    table.add_column("", overflow="fold")
    for method in first.cells:
        table.add_column(Text(method), overflow="fold")
    for column in columns:
        unit = f", {column.value.unit}" if column.value.unit else ""
        name = f"{column.value.name}{unit} {ARROWS[column.value.better]}".strip()
        table.add_row(Text(name), *(_cell(column.cells[method]) for method in first.cells))
    coverages = [dict.fromkeys(str(column.cells[method].coverage) for column in columns) for method in first.cells]
    table.add_row("coverage", *(Text(" | ".join(coverage)) for coverage in coverages))
    return table


def _cell(cell: Cell) -> Text:
    if cell.interval is None:
        return Text("–")
    place = "" if cell.rank is None else f" #{cell.rank}{'=' if cell.ties else ''}"
    spread = bounds(cell.interval) if cell.interval.is_known else ""
    return Text(f"{number(cell.interval.value)}{place}\n{spread}".rstrip())
