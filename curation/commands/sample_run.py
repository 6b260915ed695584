"""A run is made from the sample bucket or from a person's own videos, never from both."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from curation.clip.schema import Source
from curation.shards.run_directory import RunDirectory
from curation.sources.listing import local_path
from infra.config import ConfigError
from infra.storage.files import is_local

BUCKET = "bucket"
"""Folder of a run that holds the sample bucket, and shows that the run was made from it."""


def check_not_mixed(run: str, location: str | None) -> None:
    """Refuse to mix the sample bucket with anything else.

    Args:
        run: the run directory.
        location: what is to be curated into it; None for the sample bucket.

    Raises:
        ConfigError: either the run or the input is of the sample bucket, and the other is not.
    """
    bucket = Path(run) / BUCKET
    is_sample = is_local(run) and bucket.is_dir()
    is_bucket = location is None or (is_local(location) and Path(local_path(location)).resolve() == bucket.resolve())
    if is_sample and not is_bucket:
        raise ConfigError(f"{run} holds the clips of the sample bucket: give your own videos another --run (RUN=)")
    if location is not None and is_local(location):
        _check_outside(location, bucket)
    if is_bucket and not is_sample and RunDirectory(run).names():
        raise ConfigError(f"{run} holds other clips than the sample bucket's: give INPUT, or another --run (RUN=)")


def check_none_of_sample(run: str, sources: Iterable[Source]) -> None:
    """Refuse videos that a pattern or a manifest picks out of a sample bucket.

    Args:
        run: the run directory.
        sources: what is to be curated into it.

    Raises:
        ConfigError: one of them lies in the sample bucket of another run.
    """
    for folder in sorted({os.path.dirname(source.uri) for source in sources if is_local(source.uri)}):  # noqa: PTH120
        _check_outside(folder, Path(run) / BUCKET)


def _check_outside(location: str, own: Path) -> None:
    path = Path(local_path(location)).resolve()
    for folder in (path, *path.parents):
        if folder.name == BUCKET and (folder.parent / "shards").is_dir() and folder != own.resolve():
            raise ConfigError(
                f"{location} is of the sample bucket, which is never mixed with your own videos: curate it by itself, "
                f"without INPUT into --run {folder.parent} (RUN=)"
            )
