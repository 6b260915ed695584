"""The form of the measurement of the training index, at a tiny size."""

from __future__ import annotations

import subprocess
import sys

from tests.paths import ROOT


def test_each_way_has_a_row_with_its_ratio() -> None:
    words = [sys.executable, "-m", "bench.speed.training_index", "--samples", "2000", "--commits", "4"]
    told = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT, timeout=300).stdout
    first, _, *rows = told.splitlines()
    assert first.startswith("2,000 samples in 4 commits; the file has ")
    assert [row[:36].strip() for row in rows] == [
        *("read and written, once a node", "mapped, each rank", "mapped, each loader process"),
        "pickled copy, each loader process",
    ]
    assert rows[-1].split()[-2] == "1.00"
    sent_mb = [float(row.split()[-1]) for row in rows]
    assert max(sent_mb[:3]) < 0.01 < sent_mb[3], "the name of a file, against the table"
