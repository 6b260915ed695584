"""The form of the measurement of the engine, with a few units."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.paths import ROOT


def test_a_ratio_to_bare_calls_is_printed() -> None:
    words = [sys.executable, "-m", "bench.speed.engine", "--units", "40"]
    told = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT, timeout=400).stdout
    first, bare, engine, memory = told.splitlines()
    assert first.startswith("40 units, 2 actors; ")
    assert re.fullmatch(r"bare calls +\d+ units a second", bare)
    assert re.fullmatch(r"engine +\d+ units a second +[\d.]+ × the time of bare calls", engine)
    assert re.fullmatch(r"the driver's memory grew by -?[\d.]+ MB", memory)
