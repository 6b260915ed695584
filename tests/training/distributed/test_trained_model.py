"""What DeepSpeed makes of a network: gradients are added in fp32, and the recipe's settings hold after resuming."""

from pathlib import Path
from typing import Any

import pytest
import torch
from deepspeed.utils import safe_get_full_grad
from torch import nn

from training.distributed.ranks import join_ranks
from training.distributed.trained_model import OptimizerConfig, ParallelConfig, TrainedModel

ACCUMULATION = 4


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(32, 32), nn.LayerNorm(32), nn.Linear(32, 32))


def model_of(*, zero_stage: Any = 1, precision: Any = "float32", **optimizer: Any) -> TrainedModel:
    ranks = join_ranks()
    return TrainedModel(
        "model",
        network().to(ranks.device),
        optimizer=OptimizerConfig(clip=0, **optimizer),
        parallel=ParallelConfig(zero_stage=zero_stage, precision=precision, gradient_checkpointing="none"),
        ema=None,
        ranks=ranks,
        micro_batch=2,
        accumulation=ACCUMULATION,
    )


@pytest.mark.parametrize("zero_stage", [1, 2, 3])
def test_gradients_under_autocast_are_added_in_fp32(zero_stage: int) -> None:
    model = model_of(zero_stage=zero_stage, precision="bfloat16")
    device = model.ranks.device
    inputs = torch.randn(ACCUMULATION, 2, 32, generator=torch.Generator().manual_seed(1)).to(device)
    plain = network().to(device)
    weight = plain.get_parameter("0.weight")
    expected = torch.zeros_like(weight)
    for number, each in enumerate(inputs):
        with torch.autocast(device.type, torch.bfloat16):
            loss = plain(each).float().square().mean() / ACCUMULATION
        expected += torch.autograd.grad(loss, weight)[0]
        model.engine.backward(model.engine(each).float().square().mean())
        if number < ACCUMULATION - 1:
            model.engine.step()
    gradient = safe_get_full_grad(model.module.get_parameter("0.weight"))
    # In bf16 it was 2e-3.
    assert float((gradient - expected).norm() / expected.norm()) < 1e-5


@pytest.mark.parametrize("zero_stage", [1, 2, 3])
def test_a_forward_under_autocast_is_that_of_torch_but_for_the_copies_that_its_cache_keeps(zero_stage: int) -> None:
    model = model_of(zero_stage=zero_stage, precision="bfloat16")
    device = model.ranks.device
    inputs = torch.randn(2, 32, generator=torch.Generator().manual_seed(1)).to(device)
    caches: list[bool] = []
    model.module.register_forward_pre_hook(lambda *_: caches.append(torch.is_autocast_cache_enabled()))
    model.module.get_submodule("2").register_forward_pre_hook(
        lambda *_: caches.append(torch.is_autocast_cache_enabled())
    )
    with torch.autocast(device.type, torch.bfloat16):
        expected = network().to(device)(inputs)
    assert expected.dtype == torch.bfloat16
    # Training goes through the engine, looking past it, and both are at the precision that was asked for.
    for forward in (model.engine, model.module):
        assert torch.equal(forward(inputs), expected)
        assert torch.is_autocast_cache_enabled()
    assert caches == [True, False] * 2
    with torch.autocast(device.type, torch.bfloat16):
        assert model_of(precision="float32").module(inputs).dtype == torch.float32


def test_a_resumed_optimizer_has_the_settings_of_the_recipe(tmp_path: Path) -> None:
    before = model_of(betas=(0.9, 0.999), weight_decay=0.01)
    for _ in range(ACCUMULATION):
        before.backward(before.engine(torch.ones(2, 32, device=before.ranks.device)).mean(), step=0, total_steps=2)
    before.save(tmp_path)
    after = model_of(betas=(0.5, 0.9), weight_decay=0.1)
    after.load(tmp_path)
    matrices, vectors = after.engine.optimizer.param_groups
    assert tuple(matrices["betas"]) == tuple(vectors["betas"]) == (0.5, 0.9)
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)
    # What has been learnt is there.
    assert any(state["exp_avg"].abs().max() > 0 for state in after.engine.optimizer.optimizer.state.values())
