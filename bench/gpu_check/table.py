"""The figures of a check as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_COLUMNS: Final = ("step", "what", "ms", "TFLOP/s", "of matmul", "GB", "error", "ratio", "to")
_OWN: Final = frozenset(
    {"step", "what", "seconds", "flops_per_s", "peak_gb", "error", "ratio", "reference", "missing", "at_s"}
)


def format_lines(lines: Sequence[Mapping[str, Any]]) -> str:
    """One row a figure, then what a step adds to it; a figure that could not be had says why."""
    ceiling = next(
        (line["flops_per_s"] for line in lines if line["step"] == "ceilings" and "flops_per_s" in line), None
    )
    rows = [_COLUMNS, *(_row(line, ceiling) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    laid_out = []
    for row, line in zip(rows, [{}, *lines], strict=True):
        cells = [
            cell.ljust(width) if i in {0, 1, 8} else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        laid_out.append("  ".join(cells).rstrip())
        notes = [f"{name} {value}" for name, value in line.items() if name not in _OWN and value is not None]
        if "missing" in line:
            notes.append(f"not measured: {line['missing']}")
        if notes:
            laid_out.append(f"{'':{widths[0]}}    {', '.join(notes)}")
    return "\n".join(laid_out)


def _row(line: Mapping[str, Any], ceiling: float | None) -> tuple[str, ...]:
    speed = line.get("flops_per_s")
    return (
        line["step"],
        line["what"],
        _number(line.get("seconds"), 1000, 2),
        _number(speed, 1e-12, 1),
        "" if speed is None or ceiling is None else f"{speed / ceiling:.0%}",
        _number(line.get("peak_gb"), 1, 2),
        "" if "error" not in line else f"{line['error']:.1e}",
        _number(line.get("ratio"), 1, 2),
        line.get("reference", ""),
    )


def _number(value: float | None, factor: float, digits: int) -> str:
    return "" if value is None else f"{value * factor:.{digits}f}"
