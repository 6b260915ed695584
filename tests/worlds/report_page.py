"""The report of a run as a page that tests can read."""

from __future__ import annotations

from pathlib import Path

from curation.report import ReportConfig, write_report
from infra.storage.files import read_bytes
from tests.worlds.html_page import Page


def report(run: Path | str, **config: int) -> Page:
    """Write a run's report and read it."""
    return Page(read_bytes(write_report(str(run), ReportConfig(**config))).decode())


def charts(page: Page) -> dict[str, str]:
    """The text alternatives of the plots, by title."""
    labels = [str(svg["aria-label"]) for svg in page.all("svg") if "aria-label" in svg]
    return {label.partition(";")[0]: label for label in labels}
