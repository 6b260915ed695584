"""What a model directory brings to try it with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.weights.examples import EXAMPLES_FILE, Example, read_examples


def listed(directory: Path, content: object) -> str:
    file = directory / EXAMPLES_FILE
    file.parent.mkdir()
    file.write_text(json.dumps(content))
    return str(directory)


def test_a_directory_without_examples_has_none(tmp_path: Path) -> None:
    assert read_examples(str(tmp_path)) == ()


def test_files_are_named_from_where_the_list_lies(tmp_path: Path) -> None:
    entry = {"name": "ada", "image": "a.png", "audio": "a.wav", "prompt": "talks"}
    folder = tmp_path / "examples"
    example = Example(name="ada", image=folder / "a.png", audio=folder / "a.wav", prompt="talks")
    assert read_examples(listed(tmp_path, {"examples": [entry]})) == (example,)


@pytest.mark.parametrize("content", [{}, {"examples": [{"name": "ada"}]}, {"examples": 3}, [1]])
def test_a_broken_list_is_one_line(tmp_path: Path, content: object) -> None:
    with pytest.raises(ValueError, match=r"examples\.json: not a") as told:
        read_examples(listed(tmp_path, content))
    assert "\n" not in str(told.value)


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such directory"):
        read_examples(str(tmp_path / "gone"))
