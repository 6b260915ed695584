"""`python -m curation decide`: what it says, what it refuses, what it writes, and the run that goes on with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from curation.__main__ import main
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import State, Version, versions
from tests.worlds.scripted_curation import BASE, scripted_run, source_of
from tests.worlds.synthetic_run import sources, write_run
from tests.worlds.videos import add_video


@pytest.fixture
def run(tmp_path: Path) -> str:
    scripted_run(str(tmp_path), BASE, [source_of(number) for number in range(40)])
    return str(tmp_path)


def counted(told: str, label: str) -> tuple[int, int]:
    """Before and now of a line of the table."""
    found = re.search(rf"{re.escape(label)} +([\d,]+) +([\d,]+)", told)
    assert found is not None, told
    return int(found[1]), int(found[2])


def test_it_says_what_would_change_and_writes_nothing(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept = sum(RunDirectory(run).index(["kept"])["kept"].to_pylist())
    assert main(["decide", "--run", run, "--set", "stages.quality.min_score=80", "--examples", "1"]) == 0
    told = capsys.readouterr().out
    before, now = counted(told, "kept, clips")
    assert before == kept > now
    assert "stages.quality.min_score 50.0 → 80" in told
    assert "× kept → quality/low_score" in told
    assert re.search(r"00\d{3}-\w+-0000-0\d{3}  [4-7]\d(\.\d)?, threshold 80", told)
    assert "nothing is written" in told
    assert not versions(run)


def test_the_run_s_own_thresholds_change_nothing(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decide", "--run", run]) == 0
    told = capsys.readouterr().out
    assert "nothing set otherwise" in told
    assert "no clip changes sides" in told
    assert main(["decide", "--run", run, "--apply", "same"]) == 2
    assert "is decided by these settings already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "stages.split.min_clip_s=3"], "stages.split.min_clip_s cannot be decided anew"),
        (["--set", "stages.faces.min_iou=0.4"], "stages.faces.min_iou cannot be decided anew"),
        (["--set", "stages.quality.backend=finevq"], "stages.quality.backend, models.finevq cannot be decided anew"),
        (["--set", "stages.quality.min_scor=3"], "unknown key 'min_scor', did you mean 'min_score'?"),
        (["--set", "stages.quality.min_score=300"], "min_score must be in [0, 100], not 300"),
        (["--set", "stages.quality.min_score=80", "--apply", "../out"], "cannot be a version's name"),
        (["--examples", "-1"], "'-1' is not a number of keys"),
    ],
)
def test_a_mistake_is_one_line(run: str, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["decide", "--run", run, *words]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_a_run_that_does_not_say_its_settings_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(str(tmp_path), sources())
    assert main(["decide", "--run", str(tmp_path)]) == 2
    assert "does not say by which settings its clips were decided (c0ffee)" in capsys.readouterr().err


def test_a_version_is_written_listed_and_not_overwritten(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["decide", "--run", run, "--set", "stages.quality.min_score=40"]
    assert main([*words, "--apply", "loose"]) == 0
    told = capsys.readouterr().out
    _, waiting = counted(told, "to compute")
    version = Version(run, "loose")
    states = version.decisions["state"].to_pylist()
    assert states.count(State.TO_COMPUTE) == waiting > 0
    assert re.search(r"to compute  \d+ clips of \d+ sources", told)
    assert main([*words, "--apply", "loose"]) == 0
    assert main([*words, "--apply", "again"]) == 2
    assert "has these decisions already: loose" in capsys.readouterr().err
    assert main(["decide", "--run", run, "--set", "stages.quality.min_score=45", "--apply", "loose"]) == 2
    assert "has decisions loose by other settings" in capsys.readouterr().err
    assert main(["decide", "--run", run, "--list"]) == 0
    listed = capsys.readouterr().out
    assert "stages.quality.min_score" in listed
    assert "stages.quality.min_score 50.0 → 40" in listed
    assert "sources wait to be computed" in listed
    assert main(["report", "--run", run, "--decisions", "loose"]) == 0
    assert capsys.readouterr().out.strip() == f"{run}/decisions/loose/report.html"


def test_the_next_run_does_the_work_of_the_version_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = tmp_path / "in", str(tmp_path / "run")
    small = add_video(folder, "small.mp4", size=(96, 64), seconds=0.4)
    add_video(folder, "tiny.mp4", size=(48, 32), seconds=0.4)
    words = ["run", str(folder), "--run", run, "--engine", "inline"]
    assert main(words) == 0
    rules = RunDirectory(run).index(["reject_rule"])["reject_rule"].to_pylist()
    assert rules == ["short_edge", "short_edge"]
    other = ["--set", "stages.resolution.short_edge_above_px=50"]
    assert main(["decide", "--run", run, *other, "--apply", "small"]) == 0
    assert "to compute  1 sources that had no clips" in capsys.readouterr().out
    add_video(folder, "new.mp4", size=(96, 64), seconds=0.4)
    before = RunDirectory(run).index()
    assert main([*words, *other]) == 0
    told = capsys.readouterr().out
    assert "these are the settings of decisions small: 1 units have something to compute" in told
    version = Version(run, "small")
    assert not version.work()
    assert version.own.index(["source"])["source"].to_pylist() == [str(small)]
    assert RunDirectory(run).index() == before
    rows = {row["source"]: row for row in version.index(["source", "kept", "reject_stage"]).to_pylist()}
    assert {Path(source).name: row["reject_stage"] for source, row in rows.items()} == {
        "small.mp4": "split",
        "tiny.mp4": "resolution",
    }
    assert main([*words, *other]) == 0
    assert "0 units have something to compute" in capsys.readouterr().out
