"""The speed of finding duplicates, on few clips: it says what it found."""

from __future__ import annotations

import re

import pytest

from bench.speed import duplicates
from infra.command_line import run_alone


def test_it_counts_what_it_made_and_found(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--clips", "2000"]
    assert run_alone("bench.speed.duplicates", duplicates.__doc__, duplicates.add_arguments, words) == 0
    told = capsys.readouterr().out
    assert re.search(
        r"2,000 clips: [\d.]+ s of all cores, [\d,]+ pairs compared in time; 100 of 100 copies found", told
    )
    assert "0 others left out" in told
    assert "extrapolated" in told


def test_too_few_clips_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--clips", "10"]
    assert run_alone("bench.speed.duplicates", duplicates.__doc__, duplicates.add_arguments, words) == 2
    assert "--clips must be at least 2000" in capsys.readouterr().err
