"""Findings from the ratings: agreement of raters, scores of methods, and which metrics agree with people."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.human_study.kit import Key
from bench.human_study.merging import NAMES, Rating, Ratings
from bench.human_study.questions import METRIC
from bench.leaderboard.board import Catalogue
from bench.rows import Row, current
from bench.stats.agreement import agreement
from bench.stats.bootstrap import Interval
from bench.stats.correlation import Correlation, correlate
from bench.stats.paired import orient

NO_RATING: Final = "no rating"


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricCorrelation:
    """Correlation of a metric's value with an answer, over videos; positive where the metric agrees with people."""

    question: str
    metric: str
    value: str
    protocol: str
    correlation: Correlation


def rating_rows(ratings: Ratings, key: Key) -> list[Row]:
    """One row for each video: the mean of its ratings by question, or the reason `no rating`.

    The rows lie beside the metrics' rows, so that leaderboard, slices and ties include them. `protocol` is the study.
    """
    by_trial: dict[str, list[Rating]] = defaultdict(list)
    for rating in ratings.ratings:
        by_trial[rating.trial].append(rating)
    rows = []
    for trial in key.trials:
        if trial.method is None:
            continue
        found = by_trial[trial.id]
        told = repr(sorted((one.rater, sorted(one.values.items())) for one in found))
        rows.append(
            Row(
                method=trial.method,
                sample=trial.sample,
                metric=METRIC,
                protocol=key.study,
                video=trial.video,
                # With more ratings the row has another key, and replaces the one before.
                inputs=hashlib.sha256(told.encode()).hexdigest()[:16],
                values={name: float(np.mean([one.values[name] for one in found])) for name in NAMES} if found else {},
                reason=None if found else NO_RATING,
                detail={"num_raters": len(found)},
            )
        )
    return rows


def agreements(ratings: Ratings) -> dict[str, Interval | None]:
    """Krippendorff's α (ordinal) of each question, over videos; None where it is undefined."""
    trials = sorted({rating.trial for rating in ratings.ratings})
    places = {trial: index for index, trial in enumerate(trials)}
    columns = {rater: index for index, rater in enumerate(ratings.raters)}
    tables = {name: np.full((len(trials), len(columns)), np.nan) for name in NAMES}
    for rating in ratings.ratings:
        for name in NAMES:
            tables[name][places[rating.trial], columns[rating.rater]] = rating.values[name]
    return {name: agreement(table, "ordinal") if len(trials) else None for name, table in tables.items()}


def metric_correlations(human: Sequence[Row], rows: Iterable[Row], catalogue: Catalogue) -> list[MetricCorrelation]:
    """Every value of every metric against every question, over the same videos (equal content hash).

    Intervals treat videos as independent. Those of one sample share sound and picture, so intervals are a little too
    narrow.
    """
    rated = {(row.method, row.sample): row for row in human if row.values}
    values: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for row in current(rows):
        match = rated.get((row.method, row.sample))
        if row.control or row.metric == METRIC or match is None or match.video != row.video:
            continue
        for name, value in row.values.items():
            values[row.metric, row.protocol, name][f"{row.method}/{row.sample}"] = float(value)
    better = {(metric, value.name): value.better for metric, known in catalogue.items() for value in known}
    found = []
    for question in NAMES:
        answers = {"/".join(place): float(row.values[question]) for place, row in rated.items()}
        for (metric, protocol, name), scores in sorted(values.items()):
            way = better.get((metric, name))
            correlation = correlate(orient(scores, way) if way is not None else scores, answers)
            if correlation is not None:
                found.append(
                    MetricCorrelation(
                        question=question, metric=metric, value=name, protocol=protocol, correlation=correlation
                    )
                )
    return found
