"""Putting the report together: one HTML file, which loads nothing but the methods' videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from bench.leaderboard.board import Boards, Catalogue, build_boards, values_of
from bench.leaderboard.text import ARROWS, bounds, faults, leaderboard_csv, number, p_text
from bench.report.contrasts import Slice, contrasts, slice_scores
from bench.report.drawing import NUM_COLOURS
from bench.report.evidence import drift_curves, offset_curve_of
from bench.report.offsets import offset_maps
from bench.report.viewing import gather_evidence, player_data, worst_videos
from bench.rows import Row, current
from bench.stats.slices import slices
from bench.values import Better
from curation.pages import static_page
from infra.storage.files import write_atomically

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportConfig:
    """How much the report shows."""

    num_worst: int = 10
    """Videos in the list of each metric's lowest scores."""
    max_evidence_bytes: int = 8_000_000
    """Size limit of the drawings of single videos; those of the worst videos come first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportInput:
    """What the report is about."""

    rows: Sequence[Row]
    """All rows of the store; replaced ones are left out by `currently`."""
    samples: Mapping[str, Mapping[str, str]]
    """Every sample that should be scored → the groups that it belongs to (`bench.samples.slices.slices_of`)."""
    catalogue: Catalogue = field(default_factory=dict)
    """Metric → its values, in the order to show."""
    protocols: Mapping[str, str] = field(default_factory=dict)
    """Metric → fingerprint of its present protocol."""
    videos: Mapping[str, Path] = field(default_factory=dict)
    """Method → directory of its videos, for the players."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Metric that cannot run here → what it lacks."""
    unscored: Mapping[str, str] = field(default_factory=dict)
    """Method without any row → why it has none."""

    @property
    def plain(self) -> list[Row]:
        """Current rows of wanted samples, controls left out."""
        return [row for row in self.currently if not row.control]

    @property
    def currently(self) -> list[Row]:
        """Current rows of wanted samples."""
        return [row for row in current(self.rows) if row.sample in self.samples]

    def boards(self) -> Boards:
        """The leaderboard."""
        return build_boards(self.currently, list(self.samples), self.catalogue, self.protocols)


def write_report(out: Path, given: ReportInput, config: ReportConfig = ReportConfig()) -> Boards:
    """Write `report.html` and `leaderboard.csv` into `out`; returns what they show."""
    boards = given.boards()
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(str(out / "leaderboard.csv"), leaderboard_csv(boards).encode(errors="replace"))
    # A file name may hold bytes that are not valid text.
    write_atomically(str(out / "report.html"), _render(out, given, boards, config).encode(errors="replace"))
    return boards


def _render(out: Path, given: ReportInput, boards: Boards, config: ReportConfig) -> str:
    rows, plain = given.currently, given.plain
    main = {(column.metric, column.protocol) for column in boards.main}
    shown = [row for row in plain if (row.metric, row.protocol) in main]
    worst = {column.key: worst_videos(plain, column, config.num_worst) for column in boards.headline}
    first = dict.fromkeys(one.sample for group in zip(*worst.values(), strict=False) for one in group)
    evidence, num_left_out = gather_evidence(plain, boards, list(first), config.max_evidence_bytes)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            out=out.resolve().name,
            given=given,
            boards=boards,
            groups=_by_metric(boards),
            absent=absent_reasons(boards, given.missing),
            unmeasured={name: why for name, why in given.missing.items() if name not in {one.metric for one in plain}},
            controls=[(column, found) for column in boards.main if (found := contrasts(rows, column))],
            slices=_slices(given, boards, plain),
            drifts=drift_curves(shown, {method: index for index, method in enumerate(boards.methods)}),
            offsets=offset_maps(shown, offset_curve_of),
            worst=worst,
            evidence=evidence,
            num_left_out=num_left_out,
            data=player_data(plain, boards, given.videos, list(given.samples), out),
            **static_page.look([HERE / "report.css"], [HERE / "report.js"]),
        )
    )


def absent_reasons(boards: Boards, missing: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Column → method → why the method has no row in it, for every such gap."""
    columns = (*boards.main, *boards.others)
    measured = {(column.metric, method) for column in columns for method in column.cells}
    found: dict[str, dict[str, str]] = {}
    for column in columns:
        for method in boards.methods:
            if method in column.cells:
                continue
            if (column.metric, method) in measured:
                why = "scored under another protocol only"
            elif column.metric in missing:
                why = f"not scored: {column.metric} cannot run here"
            else:
                why = f"not scored by {column.metric}"
            found.setdefault(column.key, {})[method] = why
    return found


def _by_metric(boards: Boards) -> dict[str, list[Any]]:
    """Columns of each metric and protocol, the comparable ones first."""
    found: dict[str, list[Any]] = {}
    for column in (*boards.main, *boards.others):
        found.setdefault(f"{column.metric} {column.protocol}", []).append(column)
    return found


def _slices(given: ReportInput, boards: Boards, plain: Sequence[Row]) -> list[tuple[Any, list[Slice]]]:
    parts = slices(given.samples)
    found = []
    for column in boards.headline:
        rows = [row for row in plain if (row.metric, row.protocol) == (column.metric, column.protocol)]
        scores = values_of(rows, column.value.name)
        found.append((column, [slice_scores(scores, grouping, groups) for grouping, groups in parts.items()]))
    return [(column, group) for column, group in found if group]


def _environment() -> jinja2.Environment:
    environment = static_page.environment(HERE)
    filters = {"number": number, "bounds": bounds, "faults": faults, "p": p_text, "arrow": ARROWS.__getitem__}
    environment.filters.update(filters)
    environment.globals.update(Better=Better, num_colours=NUM_COLOURS)
    return environment
