"""Where runs of the tests lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest


@pytest.fixture(params=["local", "s3"])
def run_at(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Names of new run directories, on the disk and in an object store."""
    if request.param == "local":
        yield lambda name: str(tmp_path / name)
        return
    request.getfixturevalue("object_store")
    fsspec.filesystem("s3").mkdirs("runs-of-tests", exist_ok=True)
    yield lambda name: f"s3://runs-of-tests/{tmp_path.name}/{name}"
