"""The units of work in quarantine, by the rules under which they failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from curation.shards.run_directory import RunDirectory
from infra.config import ConfigError

ALL: Final = "all"
"""In place of a rule: every one."""
_COLUMNS: Final = ("source_key", "reject_stage", "reject_rule", "shard")


@dataclass(frozen=True, slots=True)
class FailedUnit:
    """A unit that could not be processed."""

    rule: str
    """`stage/rule`."""
    shard: str
    """Which has its row."""


@dataclass(frozen=True, slots=True)
class FailedUnits:
    """All that are in quarantine."""

    units: Mapping[str, FailedUnit]
    """By their keys."""

    @classmethod
    def of(cls, directory: RunDirectory) -> Self:
        """Those of a run. A failure that has no row yet was never committed and is left out.

        Raises:
            ConfigError: a shard's index is damaged.
        """
        if not (files := directory.quarantined()):
            return cls({})
        keys = pa.array(sorted(files), pa.string())
        # A unit that failed has no clips, so these are one row each.
        table = directory.index(_COLUMNS, where=lambda rows: pc.is_in(rows["source_key"], value_set=keys))
        return cls(
            {
                row["source_key"]: FailedUnit(f"{row['reject_stage']}/{row['reject_rule']}", row["shard"])
                for row in table.to_pylist()
            }
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many failed under each rule, the most frequent first."""
        found = Counter(unit.rule for unit in self.units.values())
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def by(self, rule: str) -> dict[str, str]:
        """The shards that have the units of a rule, or of `all`, by the units' keys.

        Raises:
            ConfigError: no unit failed under this rule.
        """
        found = {key: unit.shard for key, unit in self.units.items() if rule in (ALL, unit.rule)}
        if not found and rule != ALL:
            there = f"there are {self}" if self.units else "nothing is in quarantine"
            raise ConfigError(f"--retry {rule}: no unit in quarantine failed under this rule; {there}")
        return found

    def __str__(self) -> str:
        return ", ".join(f"{rule} ({count:,})" for rule, count in self.counts.items())
