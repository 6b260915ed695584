"""What a rank holds of a small network under training, and whether it is the same after its average was in place.

A module: `rank_states FOLDER` writes `FOLDER/<rank>.json`, by name of the layout.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.worlds.live_memory import LiveMemory
from tests.worlds.made_batch import made_batch
from tests.worlds.networks import random_soul
from training.distributed.ema import Ema, EmaConfig, full_state_dict
from training.distributed.ranks import Ranks, join_ranks
from training.distributed.trained_model import OptimizerConfig, ParallelConfig, TrainedModel
from training.objectives.flow_matching import FlowMatchingConfig, flow_matching_loss

ACCUMULATION = 2
BUCKET, LIVE = 40_000, 30_000
"""Smaller than the network, so that it takes several buckets."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Bytes that one layout holds on a rank, and what its swap of weights has shown."""

    parameters: int
    lasting: int
    """All the time: weights, optimizer states, average, and under ZeRO-3 gradients and a bucket."""
    gradients: int
    """Beside those after the first of two backwards."""
    kept_aside: int
    """While the average is in the place of the weights."""
    inside: bool
    """Whether the average was in the place of the weights."""
    restored: bool
    """Whether they were, bit for bit, the same afterwards."""
    goes_on: bool
    """Whether the next step was that of a twin that never had its average in place."""
    losses: list[str]
    weights: str
    """A hash of those that training ended with."""


def measure(ranks: Ranks, zero_stage: Any, reduce_bucket: int = BUCKET) -> Held:
    with LiveMemory() as memory:
        model = _model(ranks, zero_stage, reduce_bucket)
        losses = [_step(model, ranks, 0)]
        lasting = memory.live
        _backward(model, ranks, 1, 0)
        gradients = memory.live - lasting
    losses.append(_backward(model, ranks, 1, 1))
    twin = _model(ranks, zero_stage, reduce_bucket)
    for step in range(2):
        _step(twin, ranks, step)
    assert model.ema is not None
    before = _weights(model)
    average = _whole(model.ema, model, ranks)
    with model.ema.swapped_in() as kept:
        kept_aside = sum(each.nbytes for each in kept.values())
        inside = _digest(average) == _weights(model)
    restored = _weights(model) == before
    losses.append(_step(model, ranks, 2))
    _step(twin, ranks, 2)
    counts = [getattr(each, "ds_numel", each.numel()) for each in model.module.parameters()]
    return Held(
        parameters=sum(counts),
        lasting=lasting,
        gradients=gradients,
        kept_aside=kept_aside,
        inside=inside and average != {} and _digest(average) != before,
        restored=restored,
        goes_on=_weights(model) == _weights(twin),
        losses=losses,
        weights=_weights(model),
    )


def _model(ranks: Ranks, zero_stage: Any, reduce_bucket: int) -> TrainedModel:
    torch.manual_seed(0)
    return TrainedModel(
        "model",
        random_soul(num_layers=1).train(),
        optimizer=OptimizerConfig(lr=1e-3, warmup_steps=0),
        parallel=ParallelConfig(zero_stage=zero_stage, reduce_bucket=reduce_bucket, live_parameters=LIVE),
        ema=EmaConfig(decay=0.9),
        ranks=ranks,
        micro_batch=2,
        accumulation=ACCUMULATION,
    )


def _step(model: TrainedModel, ranks: Ranks, step: int) -> str:
    return [_backward(model, ranks, step, number) for number in range(ACCUMULATION)][-1]


def _backward(model: TrainedModel, ranks: Ranks, step: int, number: int) -> str:
    # Two samples for each rank and micro-batch: their numbers draw the noise.
    first = 2 * (ranks.rank + ranks.world * (number + ACCUMULATION * step))
    batch = made_batch((1, 2), numbers=(first, first + 1))
    loss = flow_matching_loss(model.velocity, batch, FlowMatchingConfig())
    model.backward(loss.loss, step=step, total_steps=3)
    return float(loss.loss.detach()).hex()


def _whole(ema: Ema, model: TrainedModel, ranks: Ranks) -> dict[str, Tensor]:
    """The average of whole parameters."""
    parts = ranks.gather({name: shard.clone() for name, shard in ema.shards.items()})
    whole = {}
    for name, parameter in model.module.named_parameters():
        shape = getattr(parameter, "ds_shape", parameter.shape)
        flat = torch.cat([part[name].flatten() for part in parts])
        whole[name] = flat[: shape.numel()].view(shape)
    return whole


def _weights(model: TrainedModel) -> str:
    """Of this rank's own copy; under ZeRO-3, which has none, what the main rank gathers."""
    if hasattr(next(model.module.parameters()), "ds_tensor"):
        return _digest(model.ranks.broadcast(full_state_dict(model.module, model.ranks)))
    return _digest({name: each.detach() for name, each in model.module.named_parameters()})


def _digest(weights: dict[str, Tensor]) -> str:
    told = hashlib.sha256()
    for name in sorted(weights):
        told.update(weights[name].numpy().tobytes())
    return told.hexdigest()


def main() -> None:
    torch.set_num_threads(1)
    ranks = join_ranks()
    Path(sys.argv[1], f"{ranks.rank}.json").write_text(json.dumps(measure_all(ranks)))


def measure_all(ranks: Ranks) -> dict[str, dict[str, Any]]:
    """What `Held` says, by layout."""
    held = {"zero-1": measure(ranks, 1), "zero-2": measure(ranks, 2)}
    held["zero-2, one bucket"] = measure(ranks, 2, reduce_bucket=10_000_000)
    # The last, because with ZeRO-3 DeepSpeed replaces the linear layer of the whole process, and rounds differently.
    held["zero-3"] = measure(ranks, 3)
    return {name: asdict(each) for name, each in held.items()}


if __name__ == "__main__":
    main()
