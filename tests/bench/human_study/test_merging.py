"""Result files: who counts, who does not and why, and what the ratings then say."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from bench.human_study.command import run
from bench.human_study.config import StudyConfig
from bench.human_study.findings import agreements, metric_correlations, rating_rows
from bench.human_study.kit import Key, Trial, make_study
from bench.human_study.merging import NAMES, merge_results
from bench.human_study.options import add_arguments
from bench.pages.results import result_files
from bench.rows import Row, RowStore, current
from bench.values import Better, Value
from tests.worlds.human_study import answer, given


def likes_beta(trial: Trial) -> int:
    return (4 if trial.method == "Beta" else 2) + (int(trial.sample[:4]) % 2)


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, Key]:
    samples, methods = given(tmp_path, num_samples=8)
    return tmp_path / "study" / "page", make_study(tmp_path / "study", samples, methods, StudyConfig(num_checks=2))


def write(folder: Path, **documents: Any) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return result_files([folder])


def test_ratings_come_back_as_they_were_given(tmp_path: Path, study: tuple[Path, Key]) -> None:
    page, key = study
    files = write(tmp_path / "r", ann=answer(page, "ann", key, likes_beta), bob=answer(page, "bob", key, likes_beta))
    found = merge_results(files, key)
    assert found.raters == ("ann", "bob")
    assert len(found.ratings) == 2 * 16
    assert not found.excluded
    rows = rating_rows(found, key)
    values = {(row.method, row.sample[:4]): row.values["sync"] for row in rows}
    assert values["Beta", "0001"] == 5.0
    assert values["Alpha", "0002"] == 2.0
    alphas = agreements(found)
    assert [alphas[name] and alphas[name].value for name in NAMES] == [1.0] * 4  # type: ignore[union-attr]


def test_whoever_does_not_count_is_named_with_the_reason(tmp_path: Path, study: tuple[Path, Key]) -> None:
    page, key = study
    good = answer(page, "ann", key, likes_beta)
    checks = {trial.id for trial in key.trials if trial.method is None}
    unchecked = [one for one in good["answers"] if one["trial"] not in checks]
    odd = [{**good["answers"][0], "ratings": dict.fromkeys(NAMES, 6)}]
    files = write(
        tmp_path / "r",
        a_good=good,
        b_again=good,
        c_lazy=answer(page, "lazy", key, likes_beta, is_attentive=False),
        d_other={**good, "rater": "other", "study": "ffff"},
        e_broken="{",
        f_version={**good, "version": 2},
        g_unchecked={**good, "rater": "quick", "answers": unchecked},
        h_six={**good, "rater": "six", "answers": odd},
        i_unknown={**good, "rater": "ghost", "answers": [{"trial": "nope", "ratings": None}]},
        j_empty={**good, "rater": "empty", "answers": []},
        k_list=json.dumps([1, 2]),
    )
    found = merge_results(files, key)
    assert found.raters == ("ann",)
    why = {one.file[0]: (one.rater, one.why) for one in found.excluded}
    assert why["b"] == ("ann", "a second file of this rater")
    assert why["c"] == ("lazy", "failed 2 of 2 attention checks")
    assert "another study" in why["d"][1]
    assert "JSON" in why["e"][1]
    assert "version" in why["f"][1]
    assert why["g"] == ("quick", "answered no attention check")
    assert "from 1 to 5" in why["h"][1]
    assert "unknown or repeated" in why["i"][1]
    assert why["j"][1] == "no answers"
    assert "version" in why["k"][1]
    assert len(found.excluded) == 10


def test_a_video_that_would_not_play_has_no_rating(tmp_path: Path, study: tuple[Path, Key]) -> None:
    page, key = study
    document = answer(page, "ann", key, likes_beta)
    trial = next(one for one in key.trials if one.method is not None)
    for one in document["answers"]:
        if one["trial"] == trial.id:
            one["ratings"] = None
    found = merge_results(write(tmp_path / "r", ann=document), key)
    assert found.num_skipped == 1
    row = next(row for row in rating_rows(found, key) if (row.method, row.sample) == (trial.method, trial.sample))
    assert row.reason == "no rating"


def test_more_ratings_replace_the_row(tmp_path: Path, study: tuple[Path, Key]) -> None:
    page, key = study
    one = merge_results(write(tmp_path / "r", ann=answer(page, "ann", key, likes_beta)), key)
    two = merge_results(write(tmp_path / "r", bob=answer(page, "bob", key, lambda _: 1)), key)
    store = RowStore(tmp_path / "rows")
    store.append(rating_rows(one, key))
    store.append(rating_rows(two, key))
    rows = current(store.read())
    assert len(rows) == 16
    assert {row.detail["num_raters"] for row in rows} == {2}


def metric_rows(key: Key, name: str, sign: float, video: str | None = None) -> list[Row]:
    return [
        Row(
            method=trial.method,
            sample=trial.sample,
            metric=name,
            protocol="p",
            video=video or trial.video,
            inputs="",
            values={name: sign * likes_beta(trial)},
        )
        for trial in key.trials
        if trial.method is not None
    ]


def test_metrics_that_see_what_people_see_correlate(tmp_path: Path, study: tuple[Path, Key]) -> None:
    page, key = study
    human = rating_rows(merge_results(write(tmp_path / "r", ann=answer(page, "ann", key, likes_beta)), key), key)
    rows = [*metric_rows(key, "good", 1), *metric_rows(key, "error", -1), *metric_rows(key, "stale", 1, video="old")]
    catalogue = {"error": (Value(name="error", better=Better.LOWER, unit="", about=""),)}
    found = metric_correlations(human, rows, catalogue)
    by_name = {(one.metric, one.question): one.correlation for one in found}
    assert by_name["good", "sync"].spearman.value == pytest.approx(1)
    # A distance that falls as ratings rise is right too.
    assert by_name["error", "sync"].kendall.value == pytest.approx(1)
    assert by_name["good", "sync"].num == 16
    # Rows of another video than was rated say nothing.
    assert not [one for one in found if one.metric == "stale"]


def test_the_command(tmp_path: Path, study: tuple[Path, Key], capsys: pytest.CaptureFixture[str]) -> None:
    page, key = study
    out = tmp_path / "rows"
    RowStore(out).append(metric_rows(key, "good", 1))
    write(
        tmp_path / "r",
        ann=answer(page, "ann", key, likes_beta),
        z=answer(page, "z", key, likes_beta, is_attentive=False),
    )
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = ["merge", "--key", str(page.parent / "key.json"), "--results", str(tmp_path / "r"), "--out", str(out)]
    run(parser.parse_args(options))
    run(parser.parse_args(options))
    said = " ".join(capsys.readouterr().out.split())
    assert "left out: z.json (z): failed 2 of 2 attention checks" in said
    assert "1 raters, 16 ratings" in said
    assert len([row for row in RowStore(out).read() if row.metric == "human"]) == 16
    assert "spearman,good,good,p,1.0" in (out / "human_study.csv").read_text()
    with pytest.raises(ValueError, match="no result file"):
        run(parser.parse_args([*options[:4], str(tmp_path / "none"), "--out", str(out)]))
