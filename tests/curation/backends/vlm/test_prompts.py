"""Prompts are files with a version; any other word makes another configuration."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from curation.backends.vlm import prompts
from curation.backends.vlm.captions import PROMPTS, QUESTIONS, VlmCaptionerConfig
from curation.backends.vlm.claims import PROMPT as CLAIMS
from curation.backends.vlm.defects import PROMPT as DEFECTS
from curation.backends.vlm.prompts import load_prompt, wording_of
from curation.clip.caption import ATTRIBUTES, TEXTS, HumanAction
from curation.stages.defects import ASKED
from infra.config import ConfigError
from tests.paths import ROOT


@pytest.fixture
def own_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for file in prompts.PROMPTS.glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    monkeypatch.setattr(prompts, "PROMPTS", tmp_path)
    load_prompt.cache_clear()
    yield tmp_path
    load_prompt.cache_clear()


def test_every_file_is_used_and_every_prompt_is_a_file() -> None:
    assert {file.stem for file in prompts.PROMPTS.glob("*.yaml")} == {*PROMPTS, DEFECTS, CLAIMS}


def test_items_are_what_the_stages_know() -> None:
    for name, attributes in QUESTIONS.items():
        items = tuple(load_prompt(name).items)
        assert items == (tuple(HumanAction.model_fields) if attributes == ("human_action",) else attributes)
    assert tuple(load_prompt(DEFECTS).items) == ASKED
    assert tuple(sorted(load_prompt(CLAIMS).items)) == tuple(sorted((*ATTRIBUTES, *TEXTS)))


def test_braces_are_those_that_are_filled_in() -> None:
    fields = {"brief": {"attributes"}, "detailed": {"attributes"}, DEFECTS: {"question"}, CLAIMS: {"claim", "value"}}
    for name in (*PROMPTS, DEFECTS, CLAIMS):
        prompt = load_prompt(name)
        found = set(re.findall(r"{(.*?)}", " ".join((prompt.text, *prompt.items.values()))))
        assert found == fields.get(name, set()), name


@pytest.mark.parametrize(("old", "new"), [('version: "1"', 'version: "2"'), ("kind of place", "sort of place")])
def test_another_version_or_word_is_another_configuration(own_prompts: Path, old: str, new: str) -> None:
    before = VlmCaptionerConfig().wording
    text = (own_prompts / "scene.yaml").read_text()
    assert old in text
    (own_prompts / "scene.yaml").write_text(text.replace(old, new))
    load_prompt.cache_clear()
    assert VlmCaptionerConfig().wording != before
    assert ("scene-2" in VlmCaptionerConfig().wording) is ("version" in old)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: '1'\ntext: x\nquestion: y", "unknown key 'question'"),
        ("version: 1\ntext: x", "version: Input should be a valid string"),
        ("text: x", "version: Field required"),
        ("version: '1'\ntext: ' '", "needs a version and a text"),
    ],
)
def test_a_wrong_file_is_one_line(own_prompts: Path, text: str, message: str) -> None:
    (own_prompts / "scene.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        wording_of(["scene"])


def test_an_unknown_prompt_is_told_the_known() -> None:
    with pytest.raises(ConfigError, match="no prompt 'mood'; there are action, brief, claims"):
        load_prompt("mood")


def test_prompts_are_installed_with_the_project() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert data["curation.backends.vlm"] == ["prompts/*.yaml"]
