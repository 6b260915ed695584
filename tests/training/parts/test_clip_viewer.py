"""Looking at a training costs no more than the training itself: matrix products are as precise as there."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import small_recipe
from training.distributed.ranks import join_ranks
from training.initial import initial_directory
from training.monitoring.display import Display
from training.monitoring.metrics import Averages
from training.stage import build_trainer


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_everything_runs_at_the_precision_of_training(tmp_path: Path, precision: str) -> None:
    make_encoded_run(tmp_path, shards=((SampleSpec(),) * 4,))
    looks = {"validation__every": 1, "validation__videos": 1, "validation__loss_samples": 1, "validation__steps": 1}
    looks["validation__guidance_scale"] = 2
    recipe = small_recipe(parallel__precision=precision, data__pools="{human: 1}", **looks)
    start = initial_directory("tiny", tmp_path / "initial", seed=0)
    display = Display(visible=False)
    trainer = build_trainer(recipe, tmp_path, tmp_path / "train", join_ranks(), start=start, display=display)
    seen: list[torch.dtype] = []
    network = trainer.parts.objective.models[0].module
    layer = network.get_submodule("blocks.0.ffn.net.2")
    assert isinstance(layer, nn.Linear)
    layer.register_forward_hook(lambda _layer, _inputs, output: seen.append(output.dtype))
    held_out = trainer.held_out[0]
    trainer.parts.objective.validation_loss(held_out.batch)
    trainer.parts.viewer.measure(held_out.batch, Averages())
    finish = trainer.parts.viewer.make(held_out)
    made = len(seen)
    finish(tmp_path / "clip.mp4", Averages())
    assert (tmp_path / "clip.mp4").stat().st_size > 0
    assert len(seen) == made, "writing needs the decoder, and not the network"
    assert len(seen) == 4 + 2 + 2
    assert set(seen) == {getattr(torch, precision)}
