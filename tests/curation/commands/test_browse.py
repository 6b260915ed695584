"""The command: what it refuses, what it exports, and how a session of it ends."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from curation.__main__ import main
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import State, Version
from tests.worlds.browsed import ask
from tests.worlds.fresh_process import FreshPython
from tests.worlds.scripted_curation import BASE, scripted_run, source_of
from tests.worlds.synthetic_run import sources, write_run
from tests.worlds.waiting import until


@pytest.fixture
def run(tmp_path: Path) -> str:
    write_run(str(tmp_path / "run"), sources())
    return str(tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "/nowhere"], "is not a run directory"),
        (["--run", "RUN", "--run", "RUN", "--run", "RUN"], "two runs can be compared"),
        (["--run", "RUN", "--run", "RUN"], "compared with itself"),
        (["--run", "RUN", "--decisions", "strict"], "has no decisions 'strict'"),
        (["--run", "RUN", "--port", "70000"], "'70000' is not a port"),
        (["--run", "RUN", "--host", "256.1.1.1"], "cannot listen on 256.1.1.1"),
        (["--run", "RUN", "--filter", "q=x"], "--filter is for --export"),
        (["--run", "RUN", "--export", "OUT", "--filter", "sort=nothing"], "no column 'nothing'"),
        (["--run", "RUN", "--export", "OUT", "--most", "0"], "'0' is not a number of rows"),
        (["--run", "RUN", "--export", "RUN"], "is not empty"),
    ],
)
def test_mistakes_are_one_line(
    run: str, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"RUN": run, "OUT": str(tmp_path / "out")}
    assert main(["browse", *(places.get(word, word) for word in arguments)]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("soul: ")]
    assert len(said) == 1
    assert message in said[0]


def test_an_export_says_what_it_holds(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["browse", "--run", run, "--export", str(out), "--filter", "state=rejected"]) == 0
    said = capsys.readouterr().err
    assert "10 rows of" in said
    assert re.search(rf"page  {re.escape(str(out))}/index\.html  \(3 rows, 0 clips to play, ", said)


def test_a_run_is_compared_with_its_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = str(tmp_path / "run"), tmp_path / "out"
    scripted_run(run, BASE, [source_of(number) for number in range(40)])
    assert main(["decide", "--run", run, "--set", "stages.quality.min_score=80", "--apply", "strict"]) == 0
    own, version = (
        {row["key"] for row in directory.index(["key", "kept"]).to_pylist() if row["kept"]}
        for directory in (RunDirectory(run), Version(run, "strict"))
    )
    assert version < own
    words = ["browse", "--run", run, "--decisions", "strict", "--export", str(out), "--filter", "is.change=lost"]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert f"{run} and {run}/decisions/strict, read in" in said
    assert f"({len(own - version):,} rows, " in said


def test_what_a_version_has_yet_to_compute_is_not_told_as_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = str(tmp_path / "run"), tmp_path / "out"
    scripted_run(run, BASE, [source_of(number) for number in range(40)])
    assert main(["decide", "--run", run, "--set", "stages.quality.min_score=20", "--apply", "loose"]) == 0
    waiting = Version(run, "loose").decisions["state"].to_pylist().count(State.TO_COMPUTE)
    assert waiting
    words = ["browse", "--run", run, "--decisions", "loose", "--export", str(out), "--filter", "is.change=to_compute"]
    assert main(words) == 0
    assert f"({waiting:,} rows, " in capsys.readouterr().err


def test_a_session_answers_and_ends_at_ctrl_c(run: str) -> None:
    process = FreshPython("-m", "curation", "browse", "--run", run, "--port", "0")
    try:
        address = until(lambda: re.search(r"browse  (http://127\.0\.0\.1:\d+)/", process.stderr), patience_s=300)[1]
        assert ask(address, "api/clips", "state=kept").json["count"] == 5
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.endswith("soul: interrupted; the page is closed\n")
    finally:
        process.kill()
