from __future__ import annotations

import re

import pytest

from bench.speed.ledger import add_arguments
from infra.command_line import run_alone


def test_a_small_run_is_planned_and_read_from_the_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_alone("bench.speed.ledger", "about", add_arguments, ["--sources", "2000", "--sampled", "5"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("2,000 sources in commits of 8\n")
    for done, left in (("0", "2,000"), ("50", "1,000"), ("99.9", "2")):
        units = rf"2,000 sources, listed in \S+ s of these; \S+ units done, {left} to do"
        row = rf"^plan, {done} % done +\S+ s \(CPU \S+ s\) +\S+ GB  .*; {units}; made in"
        assert re.search(row, said, re.MULTILINE)
    assert said.count("one GET a commit") == 2
    for name, result in {
        "summary": "2,000 clips, ",
        "report": "s3://bucket/run/report.html",
        "browse": "2,000 rows",
        "decide": "2,000 rows, ",
    }.items():
        row = rf"^{name} +\S+ s \(CPU \S+ s\) +\S+ GB  .*; {result}.*; \S+ × Arrow reading one file"
        assert re.search(row, said, re.MULTILINE), name
