"""The handbook: it names every alert and board, and no file or target that there is not."""

from __future__ import annotations

import re

import pytest

from infra.monitoring.boards.all import BOARDS
from tests.infra.monitoring.test_rules import ALERTS
from tests.paths import ROOT

TEXT = (ROOT / "infra/README.md").read_text()


@pytest.mark.parametrize("alert", [rule["alert"] for rule in ALERTS])
def test_it_says_what_each_alert_means_and_what_to_do(alert: str) -> None:
    (row,) = (line for line in TEXT.splitlines() if line.startswith(f"| `{alert}` |"))
    meaning, action = [cell.strip() for cell in row.split("|")[2:4]]
    assert meaning
    assert action


def test_it_names_no_alert_that_there_is_not() -> None:
    assert set(re.findall(r"`(Soul[A-Z]\w+)`", TEXT)) == {rule["alert"] for rule in ALERTS}


def test_it_names_every_board() -> None:
    listed = re.findall(r"^\| ([a-z, ]+) \| progress", TEXT, re.MULTILINE) + re.findall(
        r"^\| (serve) \|", TEXT, re.MULTILINE
    )
    assert {name for names in listed for name in names.split(", ")} == {board.name for board in BOARDS}


def test_its_paths_and_targets_are_there() -> None:
    for path in re.findall(r"infra/(?:cluster|images|monitoring)/[\w./-]+", TEXT):
        assert (ROOT / path.rstrip(".")).exists(), path
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) | {
        "env-vllm",
        "env-paddle",
    }
    targets.add("env-finevq")
    assert set(re.findall(r"make ([a-z-]+)", TEXT)) - {"sure"} <= targets
