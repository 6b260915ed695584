"""The index of a run as far as decisions need it, and the settings that it was decided by."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from curation.decisions.decide import columns_needed
from curation.decisions.steps import differences, thresholds
from curation.pipeline import CurationConfig
from curation.shards.run_directory import RunDirectory
from curation.shards.settings import remembered_settings
from infra.config import ConfigError, build


@dataclass(frozen=True, kw_only=True, slots=True)
class DecidedIndex:
    """What a run has decided, and by what."""

    directory: RunDirectory
    settings: dict[str, CurationConfig]
    """Those that decided its rows, by hash; the ones that decided most come first."""

    @property
    def run(self) -> str:
        """The run directory's path."""
        return self.directory.run

    @property
    def config(self) -> CurationConfig:
        """The settings that decided most rows."""
        return next(iter(self.settings.values()))

    def read(self, config: CurationConfig) -> pa.Table:
        """The rows, with the columns that these settings need.

        Raises:
            ConfigError: the settings differ from those of some rows in more than thresholds.
        """
        self.check(config)
        return self.directory.index(columns_needed(config.stages))

    def check(self, config: CurationConfig) -> None:
        """Refuse settings under which scores would be others, or clips.

        Raises:
            ConfigError: the line names the settings.
        """
        known = thresholds(config.stages)
        for before in self.settings.values():
            if others := [name for name in differences(before, config) if name not in known]:
                raise ConfigError(
                    f"{', '.join(others)} cannot be decided anew: what is measured, or how clips are cut, changes with "
                    "it; that needs a run into another --run. `python -m curation decide --list` names the thresholds"
                )


def decided_index(run: str) -> DecidedIndex:
    """The index of a run.

    Raises:
        ConfigError: it is empty, or nothing says by which settings it was decided.
    """
    return decided_index_of(RunDirectory(run))


def decided_index_of(directory: RunDirectory) -> DecidedIndex:
    """The index of a run that is open; see `decided_index`."""
    run, rows = directory.run, directory.index(["config_hash"])
    if not rows.num_rows:
        raise ConfigError(f"{run} holds no curated shards; run `make curate` first")
    remembered = remembered_settings(run)
    settings = {}
    counts = {each["values"]: each["counts"] for each in pc.value_counts(rows["config_hash"]).to_pylist()}
    for config_hash in sorted(counts, key=lambda each: -counts[each]):
        if config_hash not in remembered:
            raise ConfigError(
                f"{run} does not say by which settings its clips were decided ({config_hash}): it is older than "
                "`decide`, and has not all scores; curate into another --run"
            )
        config = build(CurationConfig, remembered[config_hash], f"{run}: settings {config_hash}")
        if config.hash != config_hash:
            raise ConfigError(
                f"{run} was decided by settings ({config_hash}) that this Soul does not have; curate into another --run"
            )
        settings[config_hash] = config
    return DecidedIndex(directory=directory, settings=settings)
