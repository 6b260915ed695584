"""Putting the report together: one HTML file that needs nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from curation.pages.static_page import environment, look
from curation.report.distributions import DISTRIBUTION_COLUMNS, distributions
from curation.report.funnel import clip_funnel, source_funnel
from curation.report.gallery import GALLERY_COLUMNS, gallery
from curation.report.scores import scores_data
from curation.report.summary import SUMMARY_COLUMNS, Summary, is_source, percent, summarise_table
from curation.shards.clip_table import open_run, read_clips
from curation.shards.run_directory import RunDirectory
from infra.storage.files import join, read_bytes, write_atomically

HERE = Path(__file__).parent
SCRIPTS = ("report.js", "scores.js")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportConfig:
    """How much the report shows."""

    num_kept: int = 24
    """Thumbnails of kept clips at most."""
    num_per_rule: int = 6
    """Thumbnails of each rejecting rule at most."""
    num_quarantined: int = 100
    """Quarantined sources listed at most; the funnel counts all of them."""
    num_scored: int = 10_000
    """Rows at most whose scores the page holds; of a larger run, a random draw."""
    seed: int = 0
    """Seed of the draws."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StageTime:
    """What a stage cost."""

    stage: str
    seconds: float
    share: float
    """Share of the time of all stages, 0 to 1."""
    per_source_second: float
    """Seconds of work for a second of source; 0 when no header could be read."""


def write_report(run: str, config: ReportConfig = ReportConfig(), decisions: str | None = None) -> str:
    """Write `RUN/report.html` from the shard index and the quarantine files; returns its path. The report of a version
    lies in the version's folder.

    Memory: the columns of all rows that the figures need (at most two kilobytes a row [bench/speed/ledger.py]), and the
    thumbnails and captions of the drawn rows alone.

    Raises:
        ConfigError: `run` is not a run directory, or has no such version.
    """
    return write_report_of(open_run(run, decisions).remembering(), config)


def write_report_of(directory: RunDirectory, config: ReportConfig = ReportConfig()) -> str:
    """Write the report of a run that is open, or of a version of it; see `write_report`."""
    failed = directory.quarantined()
    columns = tuple(dict.fromkeys(SUMMARY_COLUMNS + DISTRIBUTION_COLUMNS + GALLERY_COLUMNS))
    table = read_clips(directory, columns)
    summary = summarise_table(table, failed)
    scores = scores_data(directory, max_rows=config.num_scored, seed=config.seed)
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=directory.run,
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            summary=summary,
            source_steps=source_funnel(summary),
            clip_steps=clip_funnel(summary),
            distributions=distributions(_kept_clips(table)),
            groups=gallery(
                directory,
                table,
                summary.stages,
                num_kept=config.num_kept,
                num_per_rule=config.num_per_rule,
                seed=config.seed,
            ),
            times=stage_times(summary),
            scores=scores if isinstance(scores, Markup) else None,
            no_scores="" if isinstance(scores, Markup) else scores,
            num_scored=config.num_scored,
            num_rows=table.num_rows,
            quarantine=_quarantine(table, failed, config.num_quarantined),
            **look([], [HERE / name for name in SCRIPTS]),
        )
    )
    path = join(directory.run, "report.html")
    # A file name may hold bytes that are no text.
    write_atomically(path, page.encode(errors="replace"))
    return path


def stage_times(summary: Summary) -> list[StageTime]:
    """What every stage cost, in order."""
    total = sum(summary.stage_seconds.values())
    return [
        StageTime(
            stage=stage,
            seconds=seconds,
            share=seconds / total if total else 0.0,
            per_source_second=seconds / summary.seconds_in if summary.seconds_in else 0.0,
        )
        for stage, seconds in summary.stage_seconds.items()
    ]


def number(value: float | None) -> str:
    """Three significant digits, integers in full; a dash for None."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def span(seconds: float | None) -> str:
    """A length of time in the unit that suits it."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds >= 3600:
        return f"{seconds / 3600:,.1f} h"
    if seconds >= 60:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.1f} s"


def words(name: str | None) -> str:
    """A rule's or attribute's name as people read it."""
    return (name or "").replace("_", " ")


def _kept_clips(table: pa.Table) -> pa.Table:
    kept = pc.and_(pc.fill_null(table["kept"], fill_value=False), pc.invert(is_source(table)))
    return table.select(DISTRIBUTION_COLUMNS).filter(kept)


def _quarantine(table: pa.Table, failed: Mapping[str, str], limit: int) -> dict[str, Any]:
    """The quarantine files of committed failures: how many there are, and the first `limit` of them."""
    keys = sorted(set(table["key"].filter(is_source(table)).to_pylist()) & set(failed))
    documents = [json.loads(read_bytes(failed[key])) for key in keys[:limit]]
    return {"count": len(keys), "documents": documents}


def _environment() -> jinja2.Environment:
    templates = environment(HERE)
    templates.filters.update(number=number, span=span, words=words)
    templates.globals.update(percent=percent)
    return templates
