"""The pages on how to extend Soul work as they stand: files, changes and commands, in a copy of the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.worlds.tutorial import Checkout

PAGES = ("add-a-stage", "add-a-backend", "add-a-metric", "add-an-objective")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_as_it_stands_and_its_code_is_the_houses(page: str, tmp_path: Path) -> None:
    checkout = Checkout.copied(tmp_path / "soul")
    touched = checkout.follow(ROOT / "docs" / f"{page}.md")
    code = " ".join(path for path in touched if path.endswith(".py"))
    checkout.run(f".venv/bin/ruff check {code} && .venv/bin/ruff format --check {code}")


def test_the_pages_are_linked_where_contributors_look() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    assert {page.stem for page in (ROOT / "docs").glob("add-*.md")} == set(PAGES)
    for page in PAGES:
        assert f"](docs/{page}.md)" in contributing
