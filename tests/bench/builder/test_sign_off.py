"""The page shows every sample whole; decisions of several people come to one standing, conflicts named."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.builder.build import Build, open_build
from bench.builder.candidates import Standing, candidates, sign_offs
from bench.builder.review import write_page
from bench.builder.sign_off import merge_decisions
from tests.bench.builder.conftest import SpecWriter
from tests.bench.builder.test_slot_runner import build
from tests.worlds.html_page import Page
from tests.worlds.reviewers import fill_in, page_data
from tests.worlds.scored_rows import HOSTILE


@pytest.fixture
def reviewed(tmp_path: Path, write_spec: SpecWriter) -> Build:
    """Three samples that wait for two people."""
    found = build(tmp_path, write_spec(target=3, num_reviewers=2))
    assert write_page(found) == 3
    return found


def standings(found: Build) -> list[str]:
    decided = sign_offs(candidates(found), found.state.signed, found.spec.num_reviewers)
    return [one.standing.value for one in decided.values()]


def test_the_page_holds_every_sample(reviewed: Build) -> None:
    page = reviewed.directory.review
    data = page_data(page)
    assert data["form"] == reviewed.plan
    for sample, candidate in zip(data["samples"], candidates(reviewed).values(), strict=True):
        assert (sample["id"], sample["content"]) == (candidate.id, candidate.content)
        assert (page / sample["image"]).read_bytes() == candidate.image.read_bytes()
        assert (page / sample["sound"]).read_bytes() == candidate.sound.read_bytes()
        told = [text for _, text, _ in sample["texts"]]
        assert told == [candidate.texts[name] for name in ("message", "en_prompt", "cn_prompt")]
    html = (page / "index.html").read_text()
    script = html.rpartition("<script>")[2].partition("</script>")[0]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in html, "the page's policy lets it run"
    assert "http://" not in html
    assert "https://" not in html
    (page / "media" / "old.png").write_bytes(b"")
    write_page(reviewed)
    assert {path.name for path in (page / "media").iterdir()} == {
        Path(sample[name]).name for sample in data["samples"] for name in ("image", "sound")
    }


def test_texts_with_markup_stay_text(reviewed: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {
        id_: replace(one, texts={name: HOSTILE if isinstance(text, str) else text for name, text in one.texts.items()})
        for id_, one in candidates(reviewed).items()
    }
    monkeypatch.setattr("bench.builder.review.candidates", lambda _: shown)
    write_page(reviewed)
    html = (reviewed.directory.review / "index.html").read_text()
    page = Page(html)
    assert HOSTILE not in html
    assert len(page.all("script")) == 2
    assert [image.get("src") for image in page.all("img")] == [None]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert page_data(reviewed.directory.review)["samples"][0]["texts"][0][1] == HOSTILE


def test_everybody_must_approve_and_conflicts_are_named(
    reviewed: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, (first, second, _) = reviewed.directory.review, candidates(reviewed)
    fill_in(page, tmp_path / "in" / "ada.json", "Ada", {first: "image"})
    merged = merge_decisions(reviewed, [tmp_path / "in" / "ada.json"])
    assert (merged.num_recorded, merged.num_known, dict(merged.conflicts)) == (3, 0, {})
    assert standings(reviewed) == ["rejected", "open", "open"]
    fill_in(page, tmp_path / "in" / "bo.json", "Bo", {first: "image", second: "text"})
    folder = str(reviewed.directory.path)
    assert main(["build", "sign-off", "--build", folder, str(tmp_path / "in")]) == 0
    said = capsys.readouterr().out
    assert "3 decisions recorded, 3 known" in said
    assert f"conflict: {second}, Ada approves; Bo rejects text (see there)" in said
    assert said.count("conflict") == 1
    again = open_build(reviewed.directory.path)
    assert standings(again) == ["rejected", "rejected", "signed"]
    assert main(["build", "status", "--build", folder]) == 0
    said = capsys.readouterr().out
    assert "sign-off: 1 signed, 2 rejected, 0 open" in said
    assert f"rejected: {first}, Ada rejects image (see there); Bo rejects image (see there)" in said


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old"), ("new", "old", "new")])
def test_the_latest_decision_of_a_person_holds_whatever_the_order(
    order: tuple[str, ...], reviewed: Build, tmp_path: Path
) -> None:
    page, (first, *_) = reviewed.directory.review, candidates(reviewed)
    fill_in(page, tmp_path / "old.json", "Ada", {first: "audio"}, "2026-01-01T10:00:00Z")
    fill_in(page, tmp_path / "new.json", "Ada", {}, "2026-01-02T10:00:00Z")
    fill_in(page, tmp_path / "bo.json", "Bo")
    for name in (*order, "bo"):
        merge_decisions(reviewed, [tmp_path / f"{name}.json"])
    assert standings(reviewed) == ["signed"] * 3
    assert write_page_of_open(reviewed) == "no sample waits for people"


def write_page_of_open(found: Build) -> str:
    with pytest.raises(ValueError, match="no sample waits") as caught:
        write_page(found, only_open=True)
    return str(caught.value).partition(";")[0]


def test_a_decision_holds_for_what_was_seen(reviewed: Build, tmp_path: Path) -> None:
    document = fill_in(reviewed.directory.review, tmp_path / "ada.json", "Ada")
    document["answers"][0]["content"] = "0123456789abcdef"
    (tmp_path / "ada.json").write_text(json.dumps(document))
    merged = merge_decisions(reviewed, [tmp_path / "ada.json"])
    assert (merged.num_recorded, merged.num_outdated) == (2, 1)


BROKEN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no JSON": (lambda document: "{", "not readable as JSON"),
    "other version": (lambda document: {**document, "version": 2}, "not a result file of version 1"),
    "nobody": (lambda document: {**document, "reviewer": ""}, "no reviewer"),
    "other build": (lambda document: {**document, "form": "abc"}, "of another build"),
    "nothing": (lambda document: {**document, "answers": []}, "no answers"),
    "twice": (lambda document: {**document, "answers": document["answers"][:1] * 2}, "is answered twice"),
    "a check too few": (lambda document: changed(document, checks={"image": True}), "checks are image, audio, text"),
    "no truth": (lambda document: changed(document, checks=dict.fromkeys(("image", "audio", "text"), 1)), "true or"),
    "no time": (lambda document: {**document, "answers": [{"sample": "a", "content": "b"}]}, "has no 'decided'"),
}


def changed(document: Any, **changes: Any) -> Any:
    return {**document, "answers": [{**document["answers"][0], **changes}, *document["answers"][1:]]}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_do_not_count(
    name: str, reviewed: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, why = BROKEN[name]
    document = change(fill_in(reviewed.directory.review, tmp_path / "in" / "ada.json", "Ada"))
    text = document if isinstance(document, str) else json.dumps(document)
    (tmp_path / "in" / "ada.json").write_text(text)
    assert main(["build", "sign-off", "--build", str(reviewed.directory.path), str(tmp_path / "in")]) == 2
    said = capsys.readouterr()
    assert "left out: ada.json: " in said.out
    assert why in said.out
    assert said.err == "soul: none of the files counts\n"
    assert standings(open_build(reviewed.directory.path)) == [Standing.OPEN.value] * 3
