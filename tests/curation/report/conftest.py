"""One made run, and its report, for all tests of a module."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds.html_page import Page
from tests.worlds.report_page import report
from tests.worlds.synthetic_run import sources, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with a few made sources."""
    run = tmp_path_factory.mktemp("run")
    write_run(str(run), sources())
    return run


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    """Its report."""
    return report(run)
