"""A sample of kept and rejected clips with their thumbnails."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.report.summary import UNKNOWN
from curation.shards.clip_table import read_shard
from curation.shards.columns import distinct
from curation.shards.run_directory import RunDirectory
from infra.storage.parallel import in_parallel, requests_at_once

GALLERY_COLUMNS = (
    *("key", "source", "source_key", "start_s", "end_s", "shard", "kept", "reject_stage", "reject_rule"),
    *("reject_value", "reject_threshold", "audio_kept", "audio_reason", "audio_type", "shot_type", "num_people"),
    *("width", "height", "parent_key", "pool"),
)
DRAWN_COLUMNS = ("key", "thumbnail", "caption_brief")
"""Columns of which only the drawn rows are read."""
KEPT = "kept"


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One clip, or a source that has none."""

    group: str
    """`kept`, or the stage and rule that rejected it."""
    row: dict[str, Any]
    """Its `GALLERY_COLUMNS`."""
    image: str | None
    """Base64 of a JPEG."""
    caption: str | None = None
    """Its brief one."""

    @property
    def is_source(self) -> bool:
        """Whether it stands for a whole source."""
        return bool(self.row["key"] == self.row["source_key"])

    @property
    def facts(self) -> list[str]:
        """Size, place in the source, and what is seen and heard: as far as it is known."""
        row, facts = self.row, list[str]()
        if row["width"] and row["height"]:
            facts.append(f"{row['width']}×{row['height']}")
        if (row["end_s"] or 0.0) > (row["start_s"] or 0.0):
            facts.append(f"{row['start_s'] or 0.0:.3g}–{row['end_s']:.4g} s")
        if self.is_source:
            facts.append("whole source")
        if row["shot_type"]:
            facts.append("no body" if row["shot_type"] == "none" else row["shot_type"].replace("_", " "))
        if row["num_people"] is not None:
            facts.append(f"{row['num_people']} {'person' if row['num_people'] == 1 else 'people'}")
        if row["audio_type"] and row["audio_kept"]:
            facts.append({"none": "no voice", "unknown": "voice unclear"}.get(row["audio_type"], row["audio_type"]))
        if row["parent_key"]:
            facts.append("crop")
        if row["pool"] == "general":
            facts.append("general pool")
        return facts


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Cards that share a filter button."""

    name: str
    count: int
    """Rows of the run that belong to it."""
    cards: tuple[Card, ...]
    """At most as many as were asked for."""


def gallery(
    directory: RunDirectory, table: pa.Table, stages: Sequence[str], *, num_kept: int, num_per_rule: int, seed: int
) -> list[Group]:
    """Draw rows at random, and fetch the thumbnails and captions of those rows alone.

    Args:
        directory: where the shards are.
        table: all rows, with at least `GALLERY_COLUMNS`.
        stages: order of the groups.
        num_kept: cards of kept clips at most.
        num_per_rule: cards of each rejecting rule at most.
        seed: of the draw.
    """
    unique, codes = _group_names(table)
    counts = np.bincount(codes, minlength=len(unique))
    limits = np.where(unique == KEPT, num_kept, num_per_rule)
    # Drawn from the rows in order of their keys, so that the draw does not depend on how they are packed into shards.
    by_key = pc.sort_indices(table, sort_keys=[("key", "ascending")]).to_numpy()
    chosen = by_key[draw(codes[by_key], limits, seed)]
    rows = table.take(np.sort(chosen)).to_pylist()
    drawn = _drawn(directory, rows)
    cards: dict[str, list[Card]] = defaultdict(list)
    for name, row in zip(unique[codes[np.sort(chosen)]], rows, strict=True):
        more = drawn.get(row["key"], {})
        jpeg, caption = more.get("thumbnail"), more.get("caption_brief")
        image = base64.b64encode(jpeg).decode() if jpeg else None
        cards[name].append(Card(group=name, row=row, image=image, caption=caption))
    groups = [
        Group(name=name, count=int(count), cards=tuple(sorted(cards[name], key=lambda card: str(card.row["key"]))))
        for name, count in zip(unique, counts, strict=True)
    ]
    rank = {stage: index for index, stage in enumerate(stages)}
    return sorted(groups, key=lambda group: (group.name != KEPT, rank.get(group.name.split("/")[0], len(rank))))


def draw(codes: npt.NDArray[np.int64], limits: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """Indices of at most `limits[code]` random entries of every code."""
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    grouped = shuffled[np.argsort(codes[shuffled], kind="stable")]
    own = codes[grouped]
    first = np.searchsorted(own, own)
    return np.asarray(grouped[np.arange(len(own)) - first < limits[own]], np.int64)


def _group_names(table: pa.Table) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """The groups that there are, sorted, and the place of each row's among them."""
    reason = pc.binary_join_element_wise(
        pc.fill_null(table["reject_stage"], UNKNOWN), pc.fill_null(table["reject_rule"], UNKNOWN), "/"
    )
    names = pc.if_else(pc.fill_null(table["kept"], fill_value=False), KEPT, reason)
    values, codes = distinct(names)
    order = np.argsort(values[:-1].astype(str), kind="stable")
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return values[:-1][order], ranks[codes]


def _drawn(directory: RunDirectory, rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """`DRAWN_COLUMNS` by key; no more shards in memory than are read at once."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        wanted[row["shard"]].add(row["key"])

    def read(shard: str) -> list[dict[str, Any]]:
        keys = wanted[shard]
        found = directory.read_of(shard, min(keys), lambda now: read_shard(directory, now, DRAWN_COLUMNS))
        return [row for row in found if row["key"] in keys]

    found = in_parallel(read, list(wanted), requests_at_once(directory.path))
    return {row["key"]: row for each in found for row in each}
