"""What DeepSpeed makes of a network: gradients are added in fp32, what is saved comes back under any stage of ZeRO, and
the recipe's settings hold after resuming."""

from pathlib import Path
from typing import Any

import pytest
import torch
from deepspeed.utils import safe_get_full_grad
from safetensors.torch import load_file
from torch import Tensor, nn

from infra.config import ConfigError
from training.distributed.ema import EmaConfig, full_state_dict
from training.distributed.ranks import join_ranks
from training.distributed.trained_model import OptimizerConfig, ParallelConfig, TrainedModel

ACCUMULATION = 4


def network(width: int = 32) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(32, width), nn.LayerNorm(width), nn.Linear(width, 32))


def model_of(
    *, zero_stage: Any = 1, precision: Any = "float32", width: int = 32, ema: EmaConfig | None = None,
    frozen: tuple[str, ...] = (), **optimizer: Any,
) -> TrainedModel:  # fmt: skip
    ranks = join_ranks()
    module = network(width).to(ranks.device)
    module.register_buffer("seen", torch.zeros(2, device=ranks.device))
    for name in frozen:
        module.get_parameter(name).requires_grad = False
    return TrainedModel(
        "model",
        module,
        optimizer=OptimizerConfig(clip=0, **optimizer),
        parallel=ParallelConfig(zero_stage=zero_stage, precision=precision, gradient_checkpointing="none"),
        ema=ema,
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


def step(model: TrainedModel, number: int) -> None:
    inputs = torch.randn(ACCUMULATION, 2, 32, generator=torch.Generator().manual_seed(number)).to(model.ranks.device)
    for each in inputs:
        model.backward(model.engine(each).float().square().mean(), step=number, total_steps=9)


def weights(model: TrainedModel) -> dict[str, Tensor]:
    return full_state_dict(model.module, model.ranks)


def averages(model: TrainedModel) -> dict[str, Tensor]:
    assert model.ema is not None
    with model.ema.swapped_in():
        return weights(model)


@pytest.mark.parametrize(("written", "read"), [(1, 1), (2, 3), (3, 3), (3, 1)])
def test_what_was_saved_goes_on_the_same_under_any_stage(tmp_path: Path, written: int, read: int) -> None:
    ema = EmaConfig(decay=0.9)
    before, after = model_of(zero_stage=written, ema=ema), model_of(zero_stage=read, ema=ema)
    for number in range(2):
        step(before, number)
    before.module.get_buffer("seen").fill_(2.0)
    before.save(tmp_path)
    # What is there already is written over.
    step(after, 5)
    after.load(tmp_path)
    for number in range(2, 4):
        same = [torch.equal(before_w, weights(after)[name]) for name, before_w in weights(before).items()]
        assert all(same), number
        assert all(torch.equal(each, averages(after)[name]) for name, each in averages(before).items())
        step(before, number)
        step(after, number)
    assert float(after.module.get_buffer("seen")[0]) == 2.0


def test_before_the_first_update_there_are_no_states(tmp_path: Path) -> None:
    before, after = model_of(), model_of()
    before.save(tmp_path)
    assert [path.name for path in sorted((tmp_path / "model").iterdir())] == [
        "buffer-00000.safetensors", "network.json", "weight-00000.safetensors",
    ]  # fmt: skip
    for number in range(2):
        step(after, number)
    after.load(tmp_path)
    step(before, 3)
    step(after, 3)
    assert all(torch.equal(each, weights(after)[name]) for name, each in weights(before).items())


def test_only_what_is_trained_is_saved(tmp_path: Path) -> None:
    frozen = ("0.weight", "0.bias")
    model = model_of(frozen=frozen)
    step(model, 0)
    model.save(tmp_path)
    saved = {name for path in tmp_path.rglob("*.safetensors") for name in load_file(path)}
    assert saved == {"1.weight", "1.bias", "2.weight", "2.bias", "seen"}
    again = model_of(frozen=frozen)
    again.load(tmp_path)
    assert all(torch.equal(each, weights(again)[name]) for name, each in weights(model).items())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"width": 16}, r"'0\.weight' has shape \(32, 32\), expected \(16, 32\)"),
        ({"frozen": ("2.bias",)}, r"unknown key '2\.bias'"),
        ({"ema": EmaConfig()}, r"0 of 1024 values of 0\.weight are there"),
    ],
)
def test_states_of_another_network_are_refused_in_one_line(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    model_of().save(tmp_path)
    with pytest.raises(ConfigError, match=f"does not fit this training: {problem}"):
        model_of(**changes).load(tmp_path)


def test_a_network_that_was_not_saved_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not fit this training: it has no states of 'model'"):
        model_of().load(tmp_path)
