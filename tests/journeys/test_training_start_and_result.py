"""What a training starts from, and what the recipe puts into the model directory beside the weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from model.network.transformer import SoulTransformer3DModel
from tests.worlds.encoded_run import make_encoded_run
from tests.worlds.recipes import train
from tests.worlds.small_model import small_model

ROUNDED = "stores the network in BF16: training starts from rounded weights"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_encoded_run(tmp_path / "run")
    return tmp_path / "run"


def settings(directory: Path) -> tuple[dict[str, object], dict[str, object]]:
    """What the result says of its network, and of generation."""
    return (
        json.loads((directory / "transformer" / "config.json").read_text()),
        json.loads((directory / "model_index.json").read_text()),
    )


def test_rounded_weights_are_told_and_the_rest_is_not(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    start = shutil.copytree(small_model(), tmp_path / "start")
    transformer = SoulTransformer3DModel.from_pretrained(start / "transformer", torch_dtype=torch.bfloat16)
    transformer.save_pretrained(start / "transformer")
    result = train(run, steps=1, initial=str(start), generation__negative_prompt="blurred")
    assert ROUNDED in capfd.readouterr().err
    network, generation = settings(result)
    assert network["residual_in_fp32"] is False
    assert generation["negative_prompt"] == "blurred"
    # A stage that starts from it has its negative prompt too, and its fp32 weights.
    first = shutil.copytree(result, tmp_path / "first")
    shutil.rmtree(run / "train")
    result = train(run, steps=1, initial=str(first))
    assert ROUNDED not in capfd.readouterr().err
    assert settings(result)[1]["negative_prompt"] == "blurred"


def test_the_residual_stream_of_training_is_that_of_generation(run: Path) -> None:
    network, _ = settings(train(run, steps=1, parallel__residual_in_fp32="true", parallel__precision="bfloat16"))
    assert network["residual_in_fp32"] is True
