"""Material that is written once for all tests of the benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds.bench_samples import write_method, write_samples


@pytest.fixture(scope="session")
def samples_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven samples; see `tests.worlds.bench_samples`."""
    return write_samples(tmp_path_factory.mktemp("soul-bench") / "samples")


@pytest.fixture(scope="session")
def videos_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A method's videos of them, good and bad."""
    return write_method(tmp_path_factory.mktemp("method") / "videos")
