"""The sample bucket, made once for all tests of a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.sample import make_bucket


@pytest.fixture(scope="session")
def sample_bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with every video of the sample bucket; its truth is `bucket_truth()`."""
    directory = tmp_path_factory.mktemp("sample") / "bucket"
    make_bucket(directory)
    return directory
