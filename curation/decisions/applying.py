"""Making a version of an index, and going on with what it lists to be computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.clip.schema import OtherClip, Shot, Source
from curation.decisions.decide import Decided
from curation.decisions.steps import differences
from curation.pipeline import CurationConfig
from curation.shards.columns import strings
from curation.shards.versions import SCHEMA, State, Version, VersionInfo, versions
from curation.stages.sync import EXAMINED_SCORES
from infra.config import ConfigError


def write_version(run: str, name: str, decided: Decided, before: CurationConfig, after: CurationConfig) -> Version:
    """Write what was decided as a version of a run's index. What was computed for it before stays.

    Args:
        run: the run directory.
        name: of the version.
        decided: all rows of the index.
        before: what the run was decided by.
        after: what the version is decided by.

    Raises:
        ConfigError: the name is taken by a version with other settings, or other versions have these settings.
    """
    version = Version(run, name)
    for other in versions(run):
        same = Version(run, other).info.config_hash == after.hash
        if same and other != name:
            raise ConfigError(f"{run} has these decisions already: {other}")
        if other == name and not same:
            raise ConfigError(f"{run} has decisions {name} by other settings; give another name")
    states, counts = np.unique(decided.state.astype(str), return_counts=True)
    info = VersionInfo(
        config_hash=after.hash,
        settings=after.deciding,
        changes=differences(before, after),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        counts=dict(zip(states.tolist(), counts.tolist(), strict=True)),
    )
    version.write(_rows(decided), info)
    return Version(run, name)


def version_of(run: str, config: CurationConfig) -> Version | None:
    """The version of a run that is decided by these settings; None when there is none."""
    found = (Version(run, name) for name in versions(run))
    return next((version for version in found if version.info.config_hash == config.hash), None)


def units_to_compute(
    version: Version, planned: Sequence[Source], again: Mapping[str, str] | None = None
) -> list[Source]:
    """The units of work that a version waits for, each with the clips that it wants.

    Args:
        version: of a run.
        planned: units as the plan lays them out anew.
        again: units that failed when they were computed for it and are done again, by their keys: the shards that have
            them.

    Raises:
        ConfigError: a source is laid out in other units than it was.
    """
    again = again or {}
    work = version.work(again)
    wanted = [unit for unit in planned if unit.key in work]
    _check_same_units(version, planned, {each.source for each in work.values()})
    others = _others(version, {unit.key for unit in wanted})
    return [
        replace(
            unit,
            wanted=work[unit.key].wanted,
            others=tuple(others.get(unit.key, ())),
            replaces=again.get(unit.key),
        )
        for unit in wanted
    ]


def _rows(decided: Decided) -> pa.Table:
    table = decided.table
    kept = decided.state == State.KEPT
    columns = {
        **{name: table[name] for name in ("key", "source", "source_key", "parent_key", "shard")},
        "state": [str(state) for state in decided.state],
        "kept": kept,
        "reject_stage": decided.stage,
        "reject_rule": decided.rule,
        "reject_value": pa.array(decided.value, from_pandas=True),
        "reject_threshold": pa.array(decided.threshold, from_pandas=True),
        # A clip that is kept has its files, and so its sound, unchanged.
        "audio_kept": pc.and_(pc.fill_null(table["audio_kept"], fill_value=False), pa.array(kept)),
        "audio_reason": decided.audio_reason,
        "duplicate_of": pa.nulls(table.num_rows, pa.string()),
        "is_heard": decided.is_heard,
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=None).cast(SCHEMA)


def _check_same_units(version: Version, planned: Sequence[Source], sources: Collection[str]) -> None:
    rows = version.decisions
    before, now = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for source, unit in zip(rows["source"].to_pylist(), rows["source_key"].to_pylist(), strict=True):
        before[source].add(unit)
    for unit in planned:
        now[unit.uri].add(unit.key)
    for source in sources & now.keys():
        if before[source] != now[source]:
            raise ConfigError(
                f"{source} would be cut into {len(now[source])} units of work, and was into {len(before[source])}: "
                "leave planning.max_segment_s and the file as they were"
            )


def _others(version: Version, units: Collection[str]) -> dict[str, list[OtherClip]]:
    """The clips by which the sound of shots was judged, by unit."""
    rows = version.decisions
    heard = rows.filter(pc.and_(rows["is_heard"], pc.is_in(rows["source_key"], pa.array(sorted(units), pa.string()))))
    others: dict[str, list[OtherClip]] = defaultdict(list)
    columns = ("key", "source_key", "shot_start_s", "shot_end_s", "parent_key", *EXAMINED_SCORES)
    for shard in dict.fromkeys(heard["shard"].to_pylist()):
        keys = set(strings(heard.filter(pc.equal(heard["shard"], shard)), "key"))
        for row in version.base.rows_of(shard, columns).to_pylist():
            if row["key"] in keys:
                shot = Shot(start_s=row["shot_start_s"], end_s=row["shot_end_s"])
                scores = {name: row.get(name) for name in EXAMINED_SCORES}
                other = OtherClip(key=row["key"], shot=shot, is_crop=row["parent_key"] is not None, scores=scores)
                others[row["source_key"]].append(other)
    return others
