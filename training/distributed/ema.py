"""The moving average of the weights, shared out between the ranks.

Each rank averages its own part of every parameter: the part that DeepSpeed gave it where weights are partitioned
(ZeRO-3), an equal slice otherwise. So the average costs a rank 4 bytes a parameter, divided by the number of ranks,
wherever it is kept. While it is in the place of the weights, as much again is kept aside to put them back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from training.distributed.pieces import Piece
from training.distributed.ranks import Ranks


@dataclass(frozen=True, kw_only=True, slots=True)
class EmaConfig:
    """How weights are averaged."""

    decay: float = 0.999
    """Decay of the average per update. The paper says nothing; 0.99 to 0.9999 are usual."""
    start_step: int = 0
    """Until so many updates have been made the average is a copy of the weights."""
    device: Literal["cpu", "model"] = "model"
    """Where the average is kept. In host memory every update copies all weights there: on an H200 1.6 s a step for two
    blocks of the 5B model, in place of 3 ms."""

    def __post_init__(self) -> None:
        """Refuse what does not average."""
        if not 0 <= self.decay < 1:
            raise ValueError(f"the decay of the average lies in [0, 1), got {self.decay}")


class Ema:
    """The average of a network's trained parameters; all ranks call all methods."""

    def __init__(self, module: nn.Module, config: EmaConfig, ranks: Ranks) -> None:
        self.config = config
        self.ranks = ranks
        self.parameters = {name: each for name, each in module.named_parameters() if each.requires_grad}
        self.shards = {name: self._to_home(self._shard(each)) for name, each in self.parameters.items()}

    def update(self, step: int) -> None:
        """Take in the weights after update number `step`, counted from 0.

        An average from the very start has a smaller decay early on, (1 + n) / (10 + n), so that random weights are soon
        forgotten. One that starts later is a copy of the weights until then.
        """
        decay = self.config.decay
        if step < self.config.start_step:
            decay = 0.0
        elif not self.config.start_step:
            decay = min(decay, (1 + step) / (10 + step))
        averages = list(self.shards.values())
        weights = [self._shard(parameter) for parameter in self.parameters.values()]
        if self.config.device == "cpu":
            weights = [weight.cpu() for weight in weights]
        # One operation for all: at 5B there are 1,000 parameters, and a kernel for each is a wait for each.
        torch._foreach_lerp_(averages, weights, 1 - decay)

    @contextmanager
    def swapped_in(self) -> Iterator[Mapping[str, Tensor]]:
        """Inside, the network's weights are the average; afterwards they are, bit for bit, what they were.

        The value is what is kept aside: this rank's part of every parameter, flat. That is enough, because all ranks
        hold the same weights, and it lies where the average does.

        After an exception the average stays in place: to put the weights back takes all ranks, and the others may
        never come.
        """
        _release(self.parameters.values())
        kept = {name: self._to_home(self._shard(parameter)) for name, parameter in self.parameters.items()}
        self._put(self.shards)
        yield kept
        _release(self.parameters.values())
        self._put(kept)

    def pieces(self) -> list[Piece]:
        """This rank's part, without what fills up the last ranks' slices. They are views: `update` changes them."""
        pieces = []
        for name, shard in self.shards.items():
            start = self.ranks.rank * shard.numel()
            length = min(shard.numel(), _size(self.parameters[name]) - start)
            if length > 0:
                pieces.append(Piece(name=name, start=start, data=shard[:length]))
        return pieces

    def load(self, read: Callable[[str, int, int], Tensor]) -> None:
        """Take up this rank's part from a function of a parameter's name, the first value and their number.

        Raises:
            ValueError: raised by `read`.
        """
        for piece in self.pieces():
            piece.data.copy_(read(piece.name, piece.start, piece.data.numel()))

    def _shard(self, parameter: nn.Parameter) -> Tensor:
        """This rank's part of a parameter, flat."""
        if _is_partitioned(parameter):
            return _partition(parameter).detach()
        flat = parameter.detach().flatten()
        size = -(-flat.numel() // self.ranks.world)
        part = flat[self.ranks.rank * size : (self.ranks.rank + 1) * size]
        # Padding copies, so only the parts at a parameter's end have it.
        return part if part.numel() == size else functional.pad(part, (0, size - part.numel()))

    @torch.no_grad()
    def _put(self, shards: Mapping[str, Tensor]) -> None:
        """Make the parameters what all ranks' parts say."""
        for name, parameter in self.parameters.items():
            if _is_partitioned(parameter):
                _partition(parameter).copy_(shards[name])
                continue
            shard = shards[name].to(parameter.data)
            whole = shard.new_empty(self.ranks.world * shard.numel())
            _all_gather(whole, shard)
            parameter.data.copy_(whole[: parameter.numel()].view_as(parameter))

    def _to_home(self, shard: Tensor) -> Tensor:
        return shard.float().to("cpu" if self.config.device == "cpu" else shard.device, copy=True)


# Before torch 2.13 it had another name, which warns since.
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor


def _is_partitioned(parameter: Any) -> bool:
    return hasattr(parameter, "ds_tensor")


def _size(parameter: Any) -> int:
    """Number of a parameter's values, over all ranks."""
    size: int = parameter.ds_numel if _is_partitioned(parameter) else parameter.numel()
    return size


def _release(parameters: Iterable[Any]) -> None:
    """Drop whole copies of parameters that ZeRO-3 keeps: they would hide what is written into the partitions."""
    for parameter in parameters:
        if _is_partitioned(parameter) and parameter.ds_status.name == "AVAILABLE":
            parameter.partition()


def _partition(parameter: Any) -> Tensor:
    partition: Tensor = parameter.ds_tensor.data
    return partition


@torch.no_grad()
def full_state_dict(module: nn.Module, ranks: Ranks) -> dict[str, Tensor]:
    """All weights and buffers on the main process's CPU, wherever they lie; empty on the others.

    With ZeRO-3 one parameter at a time is gathered.
    """
    import deepspeed  # noqa: PLC0415 (see ranks.py)

    state: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter], enabled=_is_partitioned(parameter)):
            if ranks.is_main:
                state[name] = parameter.detach().cpu().clone()
    if ranks.is_main:
        persistent = module.state_dict().keys()
        state |= {name: buffer.cpu().clone() for name, buffer in module.named_buffers() if name in persistent}
    return state
