"""The study's folder: blind, complete, the same again from the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.human_study.config import StudyConfig
from bench.human_study.kit import Key, make_study
from bench.human_study.questions import QUESTIONS
from bench.samples.samples import Sample
from tests.worlds.html_page import Page
from tests.worlds.human_study import METHODS, given, page_data


def test_the_page_tells_no_method_and_shows_every_video(tmp_path: Path) -> None:
    samples, methods = given(tmp_path)
    key = make_study(tmp_path / "study", samples, methods, StudyConfig(num_checks=2))
    page = tmp_path / "study" / "page"
    html = (page / "index.html").read_text()
    names = {path.name for path in (page / "media").iterdir()}
    for method in METHODS:
        assert method not in html
        assert not any(method in name for name in names)
    assert "key" not in {path.stem for path in page.rglob("*")}
    trials = page_data(page)["trials"]
    assert len(trials) == 2 * 4 + 2
    assert all((page / trial["video"]).is_file() for trial in trials)
    # A video's bytes are the method's that the key names.
    for trial in key.trials:
        if trial.method is not None:
            content = (page / "media" / f"{trial.id}.mp4").read_text()
            assert content == f"{trial.method} {trial.sample}"
    assert all(question.text in html for question in QUESTIONS)
    checks = [trial for trial in trials if trial["check"] is not None]
    assert [trial["check"] for trial in checks] == [one.expected for one in key.trials if one.expected is not None]


def test_the_same_seed_makes_the_same_study_and_another_does_not_overwrite_it(tmp_path: Path) -> None:
    samples, methods = given(tmp_path)
    first = make_study(tmp_path / "a", samples, methods)
    assert make_study(tmp_path / "b", samples, methods) == first
    assert make_study(tmp_path / "a", samples, methods) == first
    other = StudyConfig(seed=1)
    with pytest.raises(ValueError, match="holds another study"):
        make_study(tmp_path / "a", samples, methods, other)
    second = make_study(tmp_path / "c", samples, methods, other)
    assert not {trial.id for trial in first.trials} & {trial.id for trial in second.trials}


def test_only_samples_that_all_methods_made_are_asked_about(tmp_path: Path) -> None:
    samples, methods = given(tmp_path)
    gone = next(iter(samples))
    (methods["Alpha"] / f"{gone}.mp4").unlink()
    key = make_study(tmp_path / "study", samples, methods)
    assert gone not in {trial.sample for trial in key.trials}
    with pytest.raises(ValueError, match="every method has a video"):
        make_study(tmp_path / "none", samples, {})


def test_hostile_prompts_stay_text(tmp_path: Path) -> None:
    samples, methods = given(tmp_path)
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\ud800"
    bad = {id_: Sample(id=id_, prompt=hostile) for id_ in samples}
    make_study(tmp_path / "study", bad, methods)
    html = (tmp_path / "study" / "page" / "index.html").read_text()
    assert hostile not in html
    assert page_data(tmp_path / "study" / "page")["trials"][0]["prompts"] == [hostile]
    page = Page(html)
    assert len(page.all("script")) == 2
    assert not [name for tag, attributes in page.elements for name in attributes if name.startswith("on")]


def test_videos_of_any_kind_keep_their_ending_and_odd_ones_are_said(tmp_path: Path) -> None:
    samples, methods = given(tmp_path)
    for path in methods["Alpha"].iterdir():
        path.rename(path.with_suffix(".WEBM"))
    for path in methods["Beta"].iterdir():
        path.rename(path.with_suffix(".mkv"))
    said: list[str] = []
    key = make_study(tmp_path / "study", samples, methods, tell=said.append)
    page = tmp_path / "study" / "page"
    videos = {trial["id"]: trial["video"] for trial in page_data(page)["trials"]}
    for trial in key.trials:
        content = (page / videos[trial.id]).read_text()
        assert content.startswith("Alpha" if videos[trial.id].endswith(".webm") else "Beta")
    assert said == ["most browsers do not play .mkv: raters would skip videos of Beta"]


def test_a_broken_reference_picture_is_not_shown(tmp_path: Path) -> None:
    samples, methods = given(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"")
    bad = {
        id_: Sample(id=id_, prompt="", image=tmp_path / "broken.png", problems={".png": "it is none"})
        for id_ in samples
    }
    make_study(tmp_path / "study", bad, methods)
    assert {trial["image"] for trial in page_data(tmp_path / "study" / "page")["trials"]} == {None}


def test_a_key_is_read_back_and_something_else_is_not(tmp_path: Path) -> None:
    samples, methods = given(tmp_path)
    key = make_study(tmp_path / "study", samples, methods)
    assert Key.read(tmp_path / "study" / "key.json") == key
    (tmp_path / "bad.json").write_text(json.dumps({"study": "x"}))
    for bad in ("bad.json", "none.json"):
        with pytest.raises(ValueError, match="not the key of a study"):
            Key.read(tmp_path / bad)
