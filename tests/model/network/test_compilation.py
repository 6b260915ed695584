"""Compiled blocks: no graph break, one compilation for all numbers of latent frames, the same result.

`eager` traces as inductor does and takes no time beside that.
"""

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from peft import LoraConfig
from torch import Tensor
from torch._dynamo.utils import counters

from model import SoulTransformer3DModel
from model.network.compilation import can_compile, compile_blocks, compiled
from tests.worlds.networks import random_inputs, random_soul, relative_error
from training.distributed.gradient_checkpointing import GradientCheckpointing, checkpoint_gradients

FRAMES = (3, 5, 4, 7)


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def inputs_of(frames: int) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(frames)
        return random_inputs(batch_size=1, frames=frames)


def gradients(soul: SoulTransformer3DModel, frames: int) -> dict[str, Tensor]:
    soul.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        sample = soul(**inputs_of(frames)).sample
    sample.float().square().mean().backward()
    return {name: each.grad.clone() for name, each in soul.named_parameters() if each.grad is not None}


@torch.no_grad()
def test_all_blocks_and_numbers_of_frames_share_two_graphs() -> None:
    soul = random_soul()
    expected = {frames: soul(**inputs_of(frames)).sample for frames in FRAMES}
    compile_blocks(soul, backend="eager")
    for frames in FRAMES:
        assert relative_error(soul(**inputs_of(frames)).sample, expected[frames]) < 1e-5
    # One for the first number of frames, one for all others.
    assert counters["stats"]["unique_graphs"] == 2
    assert not counters["graph_break"]


@pytest.mark.parametrize("kind", [pytest.param("full", marks=pytest.mark.slow), "attention"])
def test_blocks_that_are_computed_again_train_compiled(kind: GradientCheckpointing) -> None:
    soul = random_soul()
    expected = {frames: gradients(soul, frames) for frames in FRAMES}
    checkpoint_gradients(soul, kind, partial(compiled, backend="eager"))
    compile_blocks(soul, backend="eager")
    for frames in FRAMES:
        for name, gradient in gradients(soul, frames).items():
            assert torch.equal(gradient, expected[frames][name]), (frames, name)
    assert counters["stats"]["unique_graphs"] == 2
    assert not counters["graph_break"]


@pytest.mark.slow
def test_adapters_are_compiled_switched_on_and_off() -> None:
    soul, inputs = random_soul(), inputs_of(3)
    soul.add_adapter(LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_out.0", "ffn.net.2"]))
    adapted = soul(**inputs).sample
    soul.disable_adapters()
    base = soul(**inputs).sample
    compile_blocks(soul, backend="eager")
    assert relative_error(soul(**inputs).sample, base) < 1e-5
    soul.enable_adapters()
    assert relative_error(soul(**inputs).sample, adapted) < 1e-5
    assert relative_error(adapted, base) > 1e-3
    assert not counters["graph_break"]


@pytest.mark.slow
@torch.no_grad()
def test_inductor_compiles_a_block() -> None:
    soul = random_soul(num_layers=1)
    expected = {frames: soul(**inputs_of(frames)).sample for frames in FRAMES[:2]}
    compile_blocks(soul)
    for frames in FRAMES[:2]:
        assert relative_error(soul(**inputs_of(frames)).sample, expected[frames]) < 1e-4


def test_a_cpu_is_not_compiled_for_unless_it_is_asked_for() -> None:
    assert not can_compile(torch.device("cpu"))
