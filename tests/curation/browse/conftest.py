"""A made run whose kept clips play, read once, and its page on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from curation.browse.collection import Collection, open_collection
from curation.browse.server import serving
from tests.worlds.curated_shards import click, flat, video
from tests.worlds.synthetic_run import write_playable_run

MP4, WAV = video(flat(120), 25), click(0.5, 1.0)


@pytest.fixture(scope="package")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run directory: 8 clips, 5 of them kept, and 2 sources without any; see `tests.worlds.synthetic_run`."""
    return write_playable_run(str(Path(tmp_path_factory.mktemp("browsed")) / "run"), MP4, WAV)


@pytest.fixture(scope="package")
def collection(run: str) -> Collection:
    """It, read."""
    return open_collection(run, lambda _done, _of: None)


@pytest.fixture(scope="package")
def address(collection: Collection) -> Iterator[str]:
    """Where its page is served."""
    with serving(collection) as place:
        yield place
