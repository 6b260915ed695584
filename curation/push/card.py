"""The card of a data set, written from the run that made it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from curation.pipeline import CurationConfig
from curation.push.columns import described
from curation.push.index import Index, counted
from curation.report.funnel import clip_funnel, source_funnel
from curation.report.summary import Summary, is_source, summarise_table
from infra.hub.card import render_card

TEMPLATE: Final = Path(__file__).with_name("dataset_card.md.j2")
SIZES: Final = {
    1_000: "n<1K",
    10_000: "1K<n<10K",
    100_000: "10K<n<100K",
    1_000_000: "100K<n<1M",
    10_000_000: "1M<n<10M",
}
"""The Hub's names of sizes, by what a data set is smaller than."""
WITHOUT_WEIGHTS: Final = "measured"
"""The captioner that says what was measured and nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """Kept clips of one kind."""

    name: str
    clips: int
    with_sound: int
    seconds: float
    """Of all clips together; a crop counts as its parent does."""


def dataset_card(
    index: Index,
    *,
    name: str,
    license_id: str,
    profile: str,
    config: CurationConfig,
    has_clips: bool,
    has_quarantine: bool,
    total_bytes: int,
) -> str:
    """The text of a run's card.

    Args:
        index: of the run.
        name: of the data set.
        license_id: as the Hub writes licences; empty if none is given.
        profile: the one that the run is said to have been made with.
        config: what that profile says; its thresholds are shown if they are those that decided.
        has_clips: whether there is a shard with clips.
        has_quarantine: whether the records of failed sources go along.
        total_bytes: of all shards.
    """
    summary = summarise_table(index.table, index.directory.quarantined())
    kept = index.table.filter(
        pc.and_(pc.fill_null(index.table["kept"], fill_value=False), pc.invert(is_source(index.table)))
    )
    methods = _methods(index.table)
    decided = set(summary.config_hashes) == {config.hash}
    values = {
        "name": name,
        "summary": summary,
        "pools": _pools(kept),
        "shot_types": counted(kept["shot_type"]),
        "audio_types": counted(kept["audio_type"]),
        "sources": source_funnel(summary),
        "clips": clip_funnel(summary),
        "methods": methods,
        "captioners": sorted(methods.get("caption", {})),
        "without_weights": WITHOUT_WEIGHTS,
        "columns": described(index.columns),
        "profile": profile,
        "thresholds": _yaml(config) if decided else "",
        "num_shards": len(index.directory.names()),
        "gigabytes": total_bytes / 1e9,
        "has_clips": has_clips,
        "has_quarantine": has_quarantine,
        "license_id": license_id,
    }
    return render_card(TEMPLATE, _about(summary, name, license_id, has_clips=has_clips), values)


def _about(summary: Summary, name: str, license_id: str, *, has_clips: bool) -> dict[str, Any]:
    rows: dict[str, Any] = {"config_name": "index", "default": True, "data_files": "shards/*.parquet"}
    clips = {"config_name": "clips", "data_files": "shards/*.tar"}
    size = next((size for limit, size in SIZES.items() if summary.num_kept < limit), "n>10M")
    return {
        "license": license_id,
        "pretty_name": name.rpartition("/")[2],
        "language": ["en"],
        "task_categories": ["image-to-video", "text-to-video"],
        "size_categories": [size],
        "tags": ["soul", "talking-head", "video", "audio", "webdataset"],
        "configs": [rows, clips] if has_clips else [rows],
    }


def _pools(kept: pa.Table) -> list[Pool]:
    return list(_each_pool(kept))


def _each_pool(kept: pa.Table) -> Iterator[Pool]:
    for name in counted(kept["pool"]):
        rows = kept.filter(pc.equal(kept["pool"], name))
        yield Pool(
            name=name,
            clips=rows.num_rows,
            with_sound=pc.sum(pc.fill_null(rows["audio_kept"], fill_value=False)).as_py() or 0,
            seconds=pc.sum(pc.subtract(rows["end_s"], rows["start_s"])).as_py() or 0.0,
        )


def _methods(table: pa.Table) -> dict[str, dict[str, int]]:
    """Stage → method → how many rows it had a say in."""
    methods: dict[str, dict[str, int]] = {}
    for text, num in counted(table["backends"]).items():
        for stage, method in (json.loads(text) if text.startswith("{") else {}).items():
            methods.setdefault(stage, {})
            methods[stage][method] = methods[stage].get(method, 0) + num
    return methods


def _yaml(config: CurationConfig) -> str:
    plain: Mapping[str, Any] = json.loads(json.dumps(asdict(config.stages), default=str))
    text: str = yaml.safe_dump(dict(plain), sort_keys=False, allow_unicode=True)
    return text
