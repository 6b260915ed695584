"""A version of a run's index in which of all clips that show the same seconds only the best is kept."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.duplicates.config import DuplicatesConfig
from curation.duplicates.find import EXACT, Found
from curation.shards.columns import strings
from curation.shards.run_directory import RunDirectory
from curation.shards.settings import remembered_settings
from curation.shards.versions import OVERLAID, SCHEMA, TO_COMPUTE, State, Version, VersionInfo, versions
from infra.config import ConfigError, fingerprint

STAGE: Final = "deduplicate"
SETTING: Final = f"{STAGE}."
"""Begins the names of the thresholds among a version's changes."""


def check_free(run: str, name: str, directory: RunDirectory, config: DuplicatesConfig) -> str:
    """The hash of the settings that the version would have.

    Raises:
        ConfigError: the name is taken by a version that was made otherwise.
    """
    version = Version(run, name)
    made_by = _hash(directory, config)
    if name in versions(run) and version.info.config_hash != made_by:
        raise ConfigError(f"{run} has decisions {name} that were made by other settings; give another name")
    return made_by


def write_without_duplicates(
    run: str, name: str, directory: RunDirectory, config: DuplicatesConfig, found: Found
) -> Version:
    """Write what was found as a version of a run, or a version of its version.

    Args:
        run: the run directory.
        name: of the version that is written.
        directory: the run, or the version of it that the clips were read from.
        config: the thresholds.
        found: the duplicates among its kept clips.

    Raises:
        ConfigError: the name is taken by a version that was made otherwise.
    """
    made_by = check_free(run, name, directory, config)
    of = directory.name if isinstance(directory, Version) else None
    rows = _rows(directory, config, found)
    states = pc.value_counts(rows["state"]).to_pylist()
    info = VersionInfo(
        config_hash=made_by,
        settings=_settings(directory),
        changes=_changes(directory, config),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        counts={each["values"]: each["counts"] for each in states},
        of=of,
    )
    version = Version(run, name)
    version.write(rows, info)
    return version


def _rows(directory: RunDirectory, config: DuplicatesConfig, found: Found) -> pa.Table:
    """The rows of a version: as they were, but for the clips that are left out."""
    columns = ("key", "source", "source_key", "parent_key", "shard", *OVERLAID)
    table = directory.index(columns)
    rejected = found.rejected()
    kept = np.array([value is True for value in strings(table, "kept")], bool)
    new: dict[str, list[Any]] = {name: strings(table, name).tolist() for name in OVERLAID}
    state = np.where(kept, State.KEPT.value, State.REJECTED.value).astype(object)
    state[strings(table, "reject_rule") == TO_COMPUTE] = State.TO_COMPUTE.value
    for row, key in enumerate(strings(table, "key")):
        if not kept[row] or key not in rejected:
            continue
        rule, distance, stays = rejected[key]
        state[row] = State.REJECTED.value
        decision = (False, STAGE, rule, distance, 0.0 if rule == EXACT else config.max_distance)
        for name, value in zip(OVERLAID, (*decision, False, new["audio_reason"][row], stays), strict=True):
            new[name][row] = value
    new["kept"] = [value is True for value in new["kept"]]
    columns_now = {
        **{name: strings(table, name).tolist() for name in ("key", "source", "source_key", "parent_key", "shard")},
        **new,
        "state": state.tolist(),
        "is_heard": [False] * table.num_rows,
    }
    return pa.table({name: pa.array(columns_now[name], SCHEMA.field(name).type) for name in SCHEMA.names})


def _changes(directory: RunDirectory, config: DuplicatesConfig) -> dict[str, tuple[Any, Any]]:
    before = dict(directory.info.changes) if isinstance(directory, Version) else {}
    return {
        **{name: (pair[0], pair[1]) for name, pair in before.items()},
        **{f"{SETTING}{name}": (None, value) for name, value in asdict(config).items()},
    }


def _settings(directory: RunDirectory) -> dict[str, Any]:
    """Those by which the clips themselves were decided; none where the run does not say."""
    if isinstance(directory, Version):
        return dict(directory.info.settings)
    known = remembered_settings(directory.run)
    return next((known[each] for each in _hashes(directory) if each in known), {})


def _hash(directory: RunDirectory, config: DuplicatesConfig) -> str:
    """No run has it by itself: a run never takes such a version for one that it should go on with."""
    name = directory.name if isinstance(directory, Version) else None
    return fingerprint({STAGE: asdict(config), "of": name, "decided_by": _hashes(directory)})


def _hashes(directory: RunDirectory) -> list[str]:
    if isinstance(directory, Version):
        return [directory.info.config_hash]
    counts = pc.value_counts(directory.index(["config_hash"])["config_hash"]).to_pylist()
    return [each["values"] for each in sorted(counts, key=lambda each: (-each["counts"], each["values"]))]
