"""A run is made from the sample bucket or from a person's own videos, never from both."""

from __future__ import annotations

from pathlib import Path

from curation.config import ConfigError
from curation.shards import RunDirectory
from curation.storage import is_local

BUCKET = "bucket"
"""Folder of a run that holds the sample bucket, and shows that the run was made from it."""


def check_not_mixed(run: str, location: str | None) -> None:
    """Refuse to mix the sample bucket with anything else.

    Args:
        run: the run directory.
        location: what is to be curated into it; None for the sample bucket.

    Raises:
        ConfigError: one of what is there and what is to come is the sample bucket, the other is not.
    """
    bucket = Path(run) / BUCKET
    is_sample = is_local(run) and bucket.is_dir()
    is_bucket = location is None or (is_local(location) and Path(location).resolve() == bucket.resolve())
    if is_sample and not is_bucket:
        raise ConfigError(f"{run} holds the clips of the sample bucket: give your own videos another --run (RUN=)")
    if is_bucket and not is_sample and RunDirectory(run).names():
        raise ConfigError(f"{run} holds other clips than the sample bucket's: give INPUT, or another --run (RUN=)")
