from __future__ import annotations

import re

import pytest

from bench.speed.browse import QUESTIONS, add_arguments
from infra.command_line import run_alone


def test_every_question_is_asked_of_a_made_ledger(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_alone("bench.speed.browse", "about", add_arguments, ["--clips", "120", "--repeats", "1"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("120 clips, a thumbnail of ")
    for name, _ in QUESTIONS:
        assert re.search(rf"^{re.escape(name)} +\d+\.\d{{3}} s +\d+\.\d\d × the reference$", said, re.MULTILINE)
    assert "its 60 thumbnails, one by one" in said
