from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.backends.settings import decisive
from curation.backends.text.paddleocr import PaddleOcrConfig, PaddleOcrTextDetector, text_boxes
from infra.config import ConfigError

NAME = "PP-OCRv5_mobile_det"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "inference.yml").write_text(f"Global: {{model_name: {NAME}}}\n")
    (tmp_path / "inference.json").write_text("{}")
    (tmp_path / "inference.pdiparams").write_bytes(bytes(2_000_000))
    return tmp_path


def config(directory: Path, name: str = NAME) -> PaddleOcrConfig:
    return PaddleOcrConfig(directory=str(directory), model_name=name)


def test_a_directory_with_the_named_model_is_all_that_the_driver_wants(directory: Path) -> None:
    assert config(directory).missing() == []
    assert config(directory).found() == f"{directory}, 2.0 MB, device auto"


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("inference.yml", "has no inference.yml"),
        ("inference.pdiparams", "has no inference.pdiparams"),
        ("inference.json", "has no inference.json or inference.pdmodel"),
    ],
)
def test_a_file_that_is_not_there_is_named(directory: Path, lost: str, said: str) -> None:
    (directory / lost).unlink()
    (line,) = config(directory).missing()
    assert said in line


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    (line,) = config(tmp_path / "gone").missing()
    assert str(tmp_path / "gone") in line


def test_the_older_format_will_do(directory: Path) -> None:
    (directory / "inference.json").rename(directory / "inference.pdmodel")
    assert config(directory).missing() == []


def test_a_directory_of_another_model_is_refused(directory: Path) -> None:
    (line,) = config(directory, "PP-OCRv5_server_det").missing()
    assert line == f"{directory} holds {NAME} and not PP-OCRv5_server_det: set model_name"


@pytest.mark.parametrize("content", ["", "Global: 3\n", "Global: {}\n", "{"])
def test_a_description_without_a_name_is_refused(directory: Path, content: str) -> None:
    (directory / "inference.yml").write_text(content)
    (line,) = config(directory).missing()
    assert "a model without a name" in line


def test_a_download_must_be_asked_for(tmp_path: Path) -> None:
    asked = PaddleOcrConfig(directory=str(tmp_path / "gone"), download=True)
    assert asked.missing() == []
    assert "downloaded" in asked.found()


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_confidence": 0.0},
        {"min_text_probability": 1.0},
        {"max_side_px": 0},
        {"unclip_ratio": 0.0},
        {"batch_size": 0},
        {"threads": -1},
    ],
)
def test_values_that_paddleocr_would_replace_by_its_own_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PaddleOcrConfig(**wrong)  # type: ignore[arg-type]


def test_placement_decides_nothing() -> None:
    assert decisive(PaddleOcrConfig(device="cuda", batch_size=64, threads=3)) == decisive(PaddleOcrConfig())
    assert decisive(PaddleOcrConfig(min_confidence=0.5)) != decisive(PaddleOcrConfig())


def test_without_its_environment_the_line_says_how_to_have_it(directory: Path) -> None:
    with pytest.raises(ConfigError, match="make env-paddle"):
        PaddleOcrTextDetector(config(directory))


def test_text_comes_from_top_to_bottom() -> None:
    low = np.array([[10, 80], [90, 80], [90, 90], [10, 90]], np.int16)
    high = low - [0, 60]
    boxes = text_boxes({"dt_polys": np.stack([low, high]), "dt_scores": [0.7, 0.9]}, 100, 100)
    assert [(text.box.y0, text.confidence) for text in boxes] == [(0.2, 0.9), (0.8, 0.7)]


def test_a_picture_without_text_has_none() -> None:
    assert text_boxes({"dt_polys": np.zeros((0, 4, 2), np.int16), "dt_scores": []}, 100, 100) == ()
