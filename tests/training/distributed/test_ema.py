"""The moving average of the weights."""

from typing import Literal

import pytest
import torch
from torch import nn

from training.distributed.ema import Ema, EmaConfig, full_state_dict
from training.distributed.ranks import Ranks, join_ranks


@pytest.fixture(scope="module")
def ranks() -> Ranks:
    return join_ranks()


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))


def move(module: nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by)


DECAYS = {
    EmaConfig(decay=0.5): (1 / 10, 2 / 11, 3 / 12, 4 / 13),
    EmaConfig(decay=0.15): (1 / 10, 0.15, 0.15, 0.15),
    EmaConfig(decay=0.5, start_step=2): (0.0, 0.0, 0.5, 0.5),
}
"""Of the first updates: from the start it follows faster at first, later it begins as it goes on."""


@pytest.mark.parametrize("config", DECAYS)
def test_it_follows_the_weights_by_its_decay(ranks: Ranks, config: EmaConfig) -> None:
    module = network()
    ema = Ema(module, config, ranks)
    first = {name: each.detach().clone() for name, each in module.named_parameters()}
    expected = 0.0
    for step, decay in enumerate(DECAYS[config]):
        move(module, 1.0)
        ema.update(step)
        expected = decay * expected + (1 - decay) * (step + 1)
        for name, shard in ema.shards.items():
            torch.testing.assert_close(shard.view_as(first[name]), first[name] + expected)
    for step in range(4, 60):
        ema.update(step)
    late = ema.shards["0.weight"].view(4, 3)
    torch.testing.assert_close(late, first["0.weight"] + 4.0)


def test_weights_come_back_after_the_average_was_in_their_place(ranks: Ranks) -> None:
    module = network()
    ema = Ema(module, EmaConfig(), ranks)
    average = {name: each.clone() for name, each in full_state_dict(module, ranks).items()}
    move(module, 3.0)
    weights = full_state_dict(module, ranks)
    with ema.swapped_in():
        inside = full_state_dict(module, ranks)
    assert all(torch.equal(inside[name], average[name]) for name in average)
    after = full_state_dict(module, ranks)
    assert all(torch.equal(after[name], weights[name]) for name in weights)


@pytest.mark.parametrize("device", ["model", "cpu"])
def test_all_parts_at_once_are_averaged_as_one_by_one(ranks: Ranks, device: Literal["model", "cpu"]) -> None:
    module = network()
    ema = Ema(module, EmaConfig(decay=0.7, device=device), ranks)
    expected = {name: shard.clone() for name, shard in ema.shards.items()}
    for step in range(5):
        move(module, 0.3)
        ema.update(step)
        for name, parameter in module.named_parameters():
            decay = min(0.7, (1 + step) / (10 + step))
            expected[name].lerp_(parameter.detach().flatten().to(expected[name].device), 1 - decay)
    assert all(torch.equal(ema.shards[name], expected[name]) for name in expected)


def test_no_rank_waits_for_others_after_an_exception(ranks: Ranks) -> None:
    module = network()
    ema = Ema(module, EmaConfig(), ranks)
    move(module, 3.0)
    average = ema.shards["0.weight"].clone()
    with pytest.raises(KeyError), ema.swapped_in():
        raise KeyError
    assert torch.equal(module.get_parameter("0.weight").flatten(), average)


def test_frozen_parameters_are_not_averaged(ranks: Ranks) -> None:
    module = network()
    module[0].requires_grad_(requires_grad=False)
    assert Ema(module, EmaConfig(), ranks).shards.keys() == {"1.weight", "1.bias"}


def test_a_decay_that_never_forgets_is_refused() -> None:
    with pytest.raises(ValueError, match="decay"):
        EmaConfig(decay=1.0)
