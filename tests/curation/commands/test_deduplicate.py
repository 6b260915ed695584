"""`python -m curation deduplicate`: what it says, what it writes, and how other commands show it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curation.__main__ import main
from curation.clip.fingerprint import COLUMNS
from curation.duplicates.applying import write_without_duplicates
from curation.duplicates.config import DuplicatesConfig
from curation.duplicates.find import find_duplicates
from curation.duplicates.prints import read_prints
from curation.shards.clip_table import open_run, read_scored_clips
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import TO_COMPUTE, Version, versions
from tests.worlds.recorded_clips import recorded, unit
from tests.worlds.scripted_curation import BASE, scripted_run, source_of
from tests.worlds.synthetic_run import write_run

BEST, COPY, SAME = unit("best", 1920, 1080), unit("copy", 640, 360), unit("same", 640, 360)
OTHER = unit("other")


def write(folder: Path) -> str:
    """Four clips of which two are copies of the first, one of them twice the same file, and a rejected one."""
    rejected = replace(recorded(OTHER, 1, 7, 0.0), payload=None).reject("faces", "presence", 0.1, 0.5)
    units = [
        replace(BEST, clips=(recorded(BEST, 0, 1, 0.0), recorded(BEST, 1, 1, 10.0))),
        replace(COPY, clips=(recorded(COPY, 0, 1, 0.4, noise=0.2),)),
        replace(OTHER, clips=(recorded(OTHER, 0, 2, 0.0, mp4=b"other"), rejected)),
        replace(SAME, clips=(recorded(SAME, 0, 2, 0.0, mp4=b"other"),)),
    ]
    write_run(str(folder), units)
    return str(folder)


@pytest.fixture
def run(tmp_path: Path) -> str:
    return write(tmp_path / "run")


def test_it_says_what_would_go_and_writes_nothing(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deduplicate", "--run", run]) == 0
    told = capsys.readouterr().out
    assert f"{run}: 5 kept clips, 2 pairs that look alike compared in time" in told
    assert "exact          1 clips, 0.001 hours (20 % of the clips)" in told
    assert "near           1 clips, 0.001 hours (20 % of the clips)" in told
    assert "stay           3 clips, 0.004 hours; 2 of them have duplicates" in told
    assert f"1 × {BEST.clip_key(0)}\n    {COPY.clip_key(0)}  distance 0." in told
    assert f"1 × {OTHER.clip_key(0)}\n    {SAME.clip_key(0)}  exact" in told
    assert "nothing is written" in told
    assert not versions(run)


def test_a_version_leaves_the_duplicates_out_and_says_for_which_clip(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deduplicate", "--run", run, "--apply", "unique"]) == 0
    assert "--decisions unique" in capsys.readouterr().out
    rows = {row["key"]: row for row in read_scored_clips(open_run(run, "unique"), without=COLUMNS).to_pylist()}
    assert {key for key, row in rows.items() if row["kept"]} == {
        BEST.clip_key(0),
        BEST.clip_key(1),
        OTHER.clip_key(0),
    }
    near, exact = rows[COPY.clip_key(0)], rows[SAME.clip_key(0)]
    assert (near["reject_stage"], near["reject_rule"], near["reject_threshold"]) == ("deduplicate", "near", 0.4)
    assert 0 < near["reject_value"] < 0.4
    assert near["duplicate_of"] == BEST.clip_key(0)
    assert not near["audio_kept"]
    assert (exact["reject_stage"], exact["reject_rule"], exact["reject_value"]) == ("deduplicate", "exact", 0.0)
    assert exact["duplicate_of"] == OTHER.clip_key(0)
    was = rows[OTHER.clip_key(1)]
    assert (was["reject_stage"], was["reject_rule"], was["duplicate_of"]) == ("faces", "presence", None)
    own = read_scored_clips(open_run(run), without=COLUMNS)
    assert sum(own["kept"].to_pylist()) == 5
    assert set(own["duplicate_of"].to_pylist()) == {None}


def test_show_and_report_tell_of_it(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deduplicate", "--run", run, "--apply", "unique"]) == 0
    assert main(["show", COPY.clip_key(0), "--run", run, "--decisions", "unique"]) == 0
    told = capsys.readouterr().out
    assert "rejected: deduplicate/near" in told
    assert f"duplicate_of      {BEST.clip_key(0)}" in told
    assert "motion_print" not in told
    assert main(["report", "--run", run, "--decisions", "unique"]) == 0
    page = Path(run, "decisions", "unique", "report.html").read_text()
    assert "deduplicate" in page


def test_the_same_again_gives_the_same_and_other_settings_need_another_name(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deduplicate", "--run", run, "--apply", "unique"]) == 0
    first = Version(run, "unique").decisions
    assert main(["deduplicate", "--run", run, "--apply", "unique"]) == 0
    assert Version(run, "unique").decisions.equals(first)
    assert main(["deduplicate", "--run", run, "--apply", "unique", "--threshold", "0.1"]) == 2
    assert "made by other settings; give another name" in capsys.readouterr().err
    assert main(["deduplicate", "--run", run, "--apply", "strict", "--threshold", "0.001"]) == 0
    rows = read_scored_clips(open_run(run, "strict"), without=COLUMNS)
    assert sorted(rule for rule in rows["reject_rule"].to_pylist() if rule) == ["exact", "presence"]


def test_a_version_of_a_version_starts_from_what_that_keeps(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deduplicate", "--run", run, "--apply", "strict", "--threshold", "0.001"]) == 0
    assert main(["deduplicate", "--run", run, "--decisions", "strict", "--apply", "both"]) == 0
    assert "4 kept clips" in capsys.readouterr().out
    both = Version(run, "both")
    assert (both.info.of, both.base.run) == ("strict", Version(run, "strict").run)
    rows = {row["key"]: row for row in read_scored_clips(open_run(run, "both"), without=COLUMNS).to_pylist()}
    assert (rows[SAME.clip_key(0)]["reject_rule"], rows[SAME.clip_key(0)]["reject_threshold"]) == ("exact", 0.0)
    assert rows[SAME.clip_key(0)]["duplicate_of"] == OTHER.clip_key(0)
    assert rows[COPY.clip_key(0)]["reject_rule"] == "near"
    shard = next(name for name in both.names() if both.sample(name, BEST.clip_key(0)))
    assert both.sample(shard, BEST.clip_key(0)).keys() == {"mp4", "wav", "json"}


def test_a_version_of_decide_is_a_base_and_stays_one_when_more_of_it_is_computed(tmp_path: Path) -> None:
    run = str(tmp_path)
    scripted_run(run, BASE, [source_of(number) for number in range(40)])
    assert main(["decide", "--run", run, "--set", "stages.quality.min_score=40", "--apply", "lenient"]) == 0
    base = open_run(run, "lenient")
    found = find_duplicates(read_prints(base), DuplicatesConfig())
    write_without_duplicates(run, "unique", base, DuplicatesConfig(), found)
    made = open_run(run, "unique")
    assert set(made.index(["key"])["key"].to_pylist()) == set(base.index(["key"])["key"].to_pylist())
    assert sum(made.index(["kept"])["kept"].to_pylist()) <= sum(base.index(["kept"])["kept"].to_pylist())
    assert main(["decide", "--run", run, "--list"]) == 0
    rows = base.index().to_pylist()
    computed = next(row for row in rows if row["reject_rule"] == TO_COMPUTE and row["key"] != row["source_key"])
    own = RunDirectory(base.run)
    own.open_session("later")
    now_kept = {name: value for name, value in computed.items() if name != "shard" and value is not None}
    own.commit("soul-later", [now_kept | {"kept": True, "reject_stage": None, "reject_rule": None}], "later")
    made = open_run(run, "unique")
    assert set(made.index(["key"])["key"].to_pylist()) == {row["key"] for row in rows} - {computed["key"]}
    assert Version(run, "unique").newer_shards() == ["soul-later"]


def test_what_cannot_be_compared_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write(tmp_path / "run")
    (shard,) = RunDirectory(run).names()
    path = Path(run, "shards", f"{shard}.parquet")
    whole = pq.read_table(path)
    pq.write_table(whole.drop_columns(list(COLUMNS)), path, write_page_checksum=True)
    assert main(["deduplicate", "--run", run]) == 2
    assert "was curated before clips had fingerprints" in capsys.readouterr().err
    newer = unit("newer")
    write_run(run, [replace(newer, clips=(recorded(newer, 0, 1, 0.0),))], session="two")
    assert main(["deduplicate", "--run", run]) == 0
    told = capsys.readouterr().out
    assert "5 clips were curated before there were fingerprints: they are not compared" in told
    assert "no clip shows the same seconds as another" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--threshold", "1.5"], "--threshold: 1.5 does not lie between 0 and 1"),
        (["--max-shift", "x"], "--max-shift: 'x' is not a number"),
        (["--decisions", "none"], "has no decisions 'none'"),
        (["--apply", "a/b"], "'a/b' cannot be a version's name"),
    ],
)
def test_mistakes_are_one_line(run: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deduplicate", "--run", run, *words]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_a_run_that_keeps_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rejected = replace(recorded(OTHER, 0, 7, 0.0), payload=None).reject("faces", "presence", 0.1, 0.5)
    write_run(str(tmp_path), [replace(OTHER, clips=(rejected,))])
    assert main(["deduplicate", "--run", str(tmp_path)]) == 2
    assert "keeps no clips" in capsys.readouterr().err
