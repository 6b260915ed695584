"""Going on with another initial model: told where it only began the training, refused where it is the teacher."""

import json
from pathlib import Path

import pytest

from infra.config import ConfigError
from model.weights.directory import INDEX_FILE
from tests.worlds.decoders import distil_decoder, make_teacher
from tests.worlds.distillation import distil, make_distillation
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import train
from tests.worlds.small_model import make_small_model

TOLD = "training was begun with another model than"


def retrain(component: Path) -> None:
    """Change one number of a network, which is what retraining does to all."""
    (weights,) = component.glob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def test_flow_matching_goes_on_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_encoded_run(tmp_path, shards=((SampleSpec(),) * 6,))
    for name, seed in (("first", 0), ("second", 1)):
        make_small_model(tmp_path / name, seed=seed)
    train(tmp_path, steps=1, initial=tmp_path / "first")
    train(tmp_path, steps=2, initial=tmp_path / "first")
    assert TOLD not in capfd.readouterr().err
    # It stays another one.
    for steps in (3, 4, 4):
        train(tmp_path, steps=steps, initial=tmp_path / "second")
        assert f"{TOLD} {tmp_path / 'second'}" in capfd.readouterr().err


@pytest.mark.parametrize("changes", [{}, {"dmd__critic_lora_rank": 2}], ids=["whole critic", "LoRA critic"])
def test_a_distillation_keeps_its_teacher(tmp_path: Path, changes: dict[str, int]) -> None:
    make_distillation(tmp_path)
    distil(tmp_path, steps=2, **changes)
    index = tmp_path / "teacher" / INDEX_FILE
    index.write_text(json.dumps(json.loads(index.read_text()) | {"num_inference_steps": 7}))
    distil(tmp_path, steps=3, **changes)
    retrain(tmp_path / "teacher/transformer")
    # A finished one would take what is not its own into its result.
    for steps in (4, 3):
        with pytest.raises(ConfigError, match=r"distill was begun with another model .* give that one with --model"):
            distil(tmp_path, steps=steps, **changes)


def test_a_decoder_keeps_its_teacher(tmp_path: Path) -> None:
    make_teacher(tmp_path)
    distil_decoder(tmp_path, steps=1)
    retrain(tmp_path / "teacher/transformer")
    distil_decoder(tmp_path, steps=2)
    retrain(tmp_path / "teacher/vae")
    with pytest.raises(ConfigError, match="evae was begun with another model"):
        distil_decoder(tmp_path, steps=3)
