"""A node runs out of memory, and Ray ends what takes it: no unit is blamed, and all others are done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.worlds.hungry_run import KEYS, HungryJob


@pytest.mark.slow
def test_a_unit_that_takes_all_memory_is_left_to_the_next_run(tmp_path: Path) -> None:
    def drive(how: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        words = [sys.executable, "-m", "tests.worlds.hungry_run", str(tmp_path), how]
        return subprocess.run(
            words, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=200
        )

    def done() -> dict[str, str]:
        return HungryJob(out=tmp_path, is_hungry=False).results()

    ended = drive("is_hungry")
    assert ended.returncode == 1, ended.stderr
    assert (
        "soul: 1 unit is not done and not judged: no memory: Ray ended its worker in pool 'all' 2 times; the same "
        "command goes on" in ended.stderr
    )
    assert done().keys() == {*KEYS} - {"hungry"}
    assert drive("is_not").returncode == 0
    assert done().keys() == {*KEYS}
    assert not [value for value in done().values() if value.startswith("given up")]
