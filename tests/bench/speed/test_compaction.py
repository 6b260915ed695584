"""The form of the measurement of merging, at a tiny size."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.speed.compaction import add_arguments
from infra.command_line import run_alone


def test_each_place_has_a_row_with_its_ratio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--megabytes", "200", "--folder", str(tmp_path)]
    assert run_alone("bench.speed.compaction", "about", add_arguments, words) == 0
    first, *rows = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"8 shards, \d+ MB, become 3", first)
    names = ("bytes copied on the disk", "merged on the disk", "bytes copied in a store", "merged in a store")
    for row, name in zip(rows, names, strict=True):
        assert re.fullmatch(rf"{name} +\d+\.\d s +\d+ MB/s +\d+\.\d\d ×", row)
    assert all(row.endswith(" 1.00 ×") for row in rows[::2])
    assert not list(tmp_path.iterdir())
