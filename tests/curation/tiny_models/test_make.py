from __future__ import annotations

from pathlib import Path

import pytest

from curation.tiny_models.make import MODELS, Wish, make_tiny_models
from infra.config import ConfigError


def test_what_was_named_is_made_under_the_profiles_names(tmp_path: Path) -> None:
    made = dict(make_tiny_models(Wish(out=tmp_path / "models", only=("rtmpose", "rtmo"))))
    assert made == {"rtmo": tmp_path / "models" / "rtmo.onnx", "rtmpose": tmp_path / "models" / "rtmpose.onnx"}
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["rtmo.onnx", "rtmpose.onnx"]


def test_real_retinaface_weights_are_copied(tmp_path: Path) -> None:
    (tmp_path / "real.pth").write_bytes(b"real")
    wish = Wish(out=tmp_path / "models", only=("retinaface",), retinaface=tmp_path / "real.pth")
    ((_, path),) = make_tiny_models(wish)
    assert path.read_bytes() == b"real"


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"only": ("rtmo", "yolo")}, "no model yolo; known: dinov2, "),
        ({"only": ("retinaface",), "retinaface": Path("gone.pth")}, "--retinaface: no such file: gone.pth"),
        ({"only": ("finevq",)}, "--finevq-code"),
        ({"finevq_code": Path("gone")}, "--finevq-code"),
        ({}, "environment 'paddle' is not there"),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: dict[str, object], said: str
) -> None:
    monkeypatch.setenv("SOUL_ENVIRONMENTS", str(tmp_path))
    with pytest.raises(ConfigError, match=said):
        list(make_tiny_models(Wish(out=tmp_path / "models", **wish)))  # type: ignore[arg-type]
    assert not (tmp_path / "models").exists()


def test_what_fails_in_an_environment_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "paddle" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho ImportError: libGL.so.1 >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setenv("SOUL_ENVIRONMENTS", str(tmp_path))
    with pytest.raises(ConfigError, match=r"^curation.tiny_models.paddle_text failed .* paddle: ImportError: libGL"):
        list(make_tiny_models(Wish(out=tmp_path / "models", only=("paddle_text",))))


def test_no_two_models_share_a_file() -> None:
    assert len({model.file for model in MODELS.values()}) == len(MODELS)
