"""What a person watches on the page: videos side by side, the worst ones, and the metrics' evidence."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bench.leaderboard.board import Boards, Column
from bench.report.evidence import EvidencePlot, pictures
from bench.rows import Row
from bench.samples.video_files import video_files
from bench.stats.paired import orient
from bench.values import Better


@dataclass(frozen=True, kw_only=True, slots=True)
class Worst:
    """One of the lowest scores of a value."""

    method: str
    sample: str
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """A metric's evidence from one video."""

    method: str
    sample: str
    metric: str
    reason: str | None
    pictures: Sequence[EvidencePlot]


def worst_videos(rows: Iterable[Row], column: Column, limit: int) -> list[Worst]:
    """The lowest scores of a column, the worst first; ties by name."""
    scored = [
        Worst(method=row.method, sample=row.sample, value=float(row.values[column.value.name]))
        for row in rows
        if _is_of(row, column) and column.value.name in row.values
    ]
    goodness = orient({str(index): one.value for index, one in enumerate(scored)}, column.value.better)
    order = sorted(range(len(scored)), key=lambda i: (goodness[str(i)], scored[i].sample, scored[i].method))
    return [scored[index] for index in order[:limit]]


def gather_evidence(
    rows: Iterable[Row], boards: Boards, first: Sequence[str], max_bytes: int
) -> tuple[dict[str, dict[str, list[Evidence]]], int]:
    """Drawings by sample and metric, methods side by side; and for how many samples they were left out.

    Args:
        rows: without a control.
        boards: evidence is shown of the main protocols only.
        first: samples to begin with.
        max_bytes: size limit of all drawings together. Samples whose drawings do not fit have none.
    """
    protocols = {(column.metric, column.protocol) for column in boards.main}
    by_sample: dict[str, list[Row]] = {}
    for row in rows:
        if (row.metric, row.protocol) in protocols:
            by_sample.setdefault(row.sample, []).append(row)
    places = {column.metric: index for index, column in enumerate(boards.main)}
    shown: dict[str, dict[str, list[Evidence]]] = {}
    size = left_out = 0
    for sample in dict.fromkeys([*(one for one in first if one in by_sample), *sorted(by_sample)]):
        found = [_evidence(row) for row in by_sample[sample]]
        found = [one for one in found if one.pictures or one.reason]
        cost = sum(len(picture.svg) for one in found for picture in one.pictures)
        if size + cost > max_bytes:
            left_out += 1
            continue
        size += cost
        for one in sorted(found, key=lambda one: (places[one.metric], one.method)):
            shown.setdefault(sample, {}).setdefault(one.metric, []).append(one)
    return shown, left_out


def player_data(
    rows: Iterable[Row], boards: Boards, videos: Mapping[str, Path], samples: Iterable[str], out: Path
) -> dict[str, object]:
    """What the script needs: which video lies where (relative to the page), and its scores.

    Args:
        rows: without a control.
        boards: gives the values and their order.
        videos: method → directory of `<id>.mp4`, `.webm`, ….
        samples: all ids.
        out: the page's directory.
    """
    ranked = [column for column in boards.main if column.value.better is not Better.NEITHER]
    scores: dict[str, dict[str, list[float | None]]] = {}
    for row in rows:
        for index, column in enumerate(ranked):
            if _is_of(row, column) and column.value.name in row.values:
                mine = scores.setdefault(row.sample, {}).setdefault(row.method, [None] * len(ranked))
                mine[index] = float(f"{row.values[column.value.name]:.4g}")
    return {
        "methods": [
            {
                "name": method,
                "videos": {id_: _url(path, out) for id_, path in video_files(folder, samples).found.items()},
            }
            for method, folder in sorted(videos.items())
        ],
        "values": [column.title for column in ranked],
        "samples": sorted(samples),
        "scores": scores,
    }


def _is_of(row: Row, column: Column) -> bool:
    return (row.metric, row.protocol) == (column.metric, column.protocol)


def _evidence(row: Row) -> Evidence:
    return Evidence(method=row.method, sample=row.sample, metric=row.metric, reason=row.reason, pictures=pictures(row))


def _url(path: Path, out: Path) -> str:
    """Relative to the page, so that both can move together; a leading `./` keeps a colon from being a scheme."""
    relative = os.path.relpath(path.resolve(), out.resolve()).replace(os.sep, "/")
    return quote(os.fsencode(relative if relative.startswith(".") else f"./{relative}"))
