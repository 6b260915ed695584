"""A directory that is not there is told, and never looked up on the Hub: the form of the name decides."""

import argparse
from pathlib import Path

import pytest

from model.weights.source import model_source, names_a_directory, trained_model, weights_source


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs" / "there").mkdir(parents=True)
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "is_directory"),
    [
        ("runs/modle", True),
        ("runs/there", True),
        ("./owner/name", True),
        ("/abs", True),
        ("~/models", True),
        ("../up/there", True),
        ("a/b/c", True),
        ("owner/", True),
        ("modle", True),
        ("Wan-AI/Wan2.2-TI2V-5B", False),
        ("openai/whisper-large-v3", False),
    ],
)
def test_the_form_decides(name: str, is_directory: bool) -> None:
    assert names_a_directory(name) is is_directory


def test_what_is_there_and_what_the_hub_may_have_passes() -> None:
    for source in ("runs/there", "Wan-AI/Wan2.2-TI2V-5B"):
        assert model_source(source) == trained_model(source) == weights_source(source) == source
    assert model_source("tiny") == trained_model("tiny") == "tiny"


@pytest.mark.parametrize(
    ("name", "message"), [("runs/modle", "no such directory"), ("file", "a file, not a directory")]
)
def test_what_is_not_there_is_told(name: str, message: str) -> None:
    for check in (model_source, trained_model, weights_source):
        with pytest.raises(argparse.ArgumentTypeError, match=f"{name}: {message}"):
            check(name)
    with pytest.raises(argparse.ArgumentTypeError, match="train first"):
        trained_model("runs/modle")


def test_the_presets_are_those_of_the_model() -> None:
    from model.pretrained.presets import PRESETS  # noqa: PLC0415
    from model.weights.source import PRESETS as NAMES  # noqa: PLC0415

    assert set(NAMES) == set(PRESETS)
