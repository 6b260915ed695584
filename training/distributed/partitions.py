"""Which values of each trained parameter a rank's optimizer has, and where they lie in DeepSpeed's flat tensors.

Under every stage of ZeRO a rank updates one range of each parameter's values, none of some parameters. The fp32 weights
of these ranges lie in a few flat tensors, and AdamW's states in tensors of the same layout. DeepSpeed's own way of
saving writes these flat tensors, which only as many ranks can read again; by parameter and range, any number can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from training.distributed.pieces import Piece

WEIGHT: Final = "weight"
MOMENTS: Final = ("exp_avg", "exp_avg_sq")
"""AdamW's states of a weight, as torch names them."""

Read = Callable[[str, str, int, int], Tensor]
"""Gives values of a kind (`weight` or one of `MOMENTS`) of a parameter: its name, the first value and their number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fragment:
    """The values of one parameter that this rank's optimizer has."""

    flat: int
    """Number of the flat tensor that they lie in."""
    offset: int
    """The first one's place in the flat tensor."""
    start: int
    """The first one's place in the parameter, flattened."""
    length: int


class _Layout(Protocol):
    """What the stages of ZeRO do differently."""

    def flats(self) -> list[Tensor]:
        """The flat tensors of fp32 weights."""
        ...

    def fragment(self, parameter: Any) -> Fragment | None:
        """This rank's values of a parameter; None if it has none."""
        ...

    def before_loading(self) -> None:
        """Let go of everything that is made from the flat tensors."""
        ...

    def after_loading(self) -> None:
        """Make the network's weights from the flat tensors of all ranks."""
        ...


class _Replicated:
    """ZeRO-1 and 2: every rank has all weights, and its optimizer a copy of a part of them."""

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer

    def flats(self) -> list[Tensor]:
        return list(self._optimizer.single_partition_of_fp32_groups)

    def fragment(self, parameter: Any) -> Fragment | None:
        mapping = parameter._hp_mapping
        if mapping is None:
            return None
        return Fragment(
            flat=mapping.param_group_index,
            offset=mapping.hp_fragment_address.start,
            start=mapping.lp_fragment_address.start,
            length=mapping.lp_fragment_address.numel,
        )

    def before_loading(self) -> None:
        """Nothing: the weights are written over."""

    def after_loading(self) -> None:
        self._optimizer.update_lp_params()


class _Partitioned:
    """ZeRO-3: every rank has a part of each parameter, of the same size and padded on the last ranks."""

    def __init__(self, optimizer: Any, rank: int) -> None:
        self._optimizer = optimizer
        self._rank = rank

    def flats(self) -> list[Tensor]:
        return list(self._optimizer.fp32_partitioned_groups_flat)

    def fragment(self, parameter: Any) -> Fragment | None:
        flat, offset, size = self._optimizer.grad_position[self._optimizer.get_param_id(parameter)]
        start = self._rank * size
        length = min(size, parameter.ds_numel - start)
        return Fragment(flat=flat, offset=offset, start=start, length=length) if length > 0 else None

    def before_loading(self) -> None:
        # Whole copies of small parameters would hide what is written into the partitions.
        self._optimizer.checkpoint_event_prologue()

    def after_loading(self) -> None:
        for flat in range(len(self.flats())):
            self._optimizer._reassign_or_swap_out_partitioned_parameters(flat)
        self._optimizer.checkpoint_event_epilogue()


class Partitions:
    """The weights and AdamW's states of one network that this rank's optimizer has.

    Args:
        module: the network.
        optimizer: DeepSpeed's optimizer of it, of any stage of ZeRO, around torch's AdamW.
        rank: of this process.
    """

    def __init__(self, module: nn.Module, optimizer: Any, rank: int) -> None:
        self._adamw: torch.optim.AdamW = optimizer.optimizer
        trained = {name: each for name, each in module.named_parameters() if each.requires_grad}
        is_partitioned = hasattr(next(iter(trained.values())), "ds_tensor")
        self._layout: _Layout = _Partitioned(optimizer, rank) if is_partitioned else _Replicated(optimizer)
        self.shapes: dict[str, tuple[int, ...]] = {name: _shape(each) for name, each in trained.items()}
        """Of all trained parameters, in the network's order."""
        found = {name: self._layout.fragment(each) for name, each in trained.items()}
        self.fragments: Mapping[str, Fragment] = {name: each for name, each in found.items() if each is not None}

    @property
    def num_updates(self) -> int:
        """How often AdamW has changed the weights; it has no states before the first time."""
        return max((int(state["step"]) for state in self._adamw.state.values()), default=0)

    def pieces(self) -> dict[str, list[Piece]]:
        """What this rank has, by kind: `weight`, and `MOMENTS` if there are any. They are views: training changes
        them."""
        kinds = {WEIGHT: self._layout.flats()}
        if self.num_updates:
            kinds |= {kind: [self._adamw.state[flat][kind] for flat in kinds[WEIGHT]] for kind in MOMENTS}
        return {
            kind: [
                Piece(name=name, start=each.start, data=flats[each.flat].detach().narrow(0, each.offset, each.length))
                for name, each in self.fragments.items()
            ]
            for kind, flats in kinds.items()
        }

    @torch.no_grad()
    def load(self, read: Read, num_updates: int) -> None:
        """Take up weights and states of this rank; the network has them after `spread`.

        Raises:
            ValueError: raised by `read`.
        """
        self._layout.before_loading()
        self._make_states(num_updates)
        for kind, pieces in self.pieces().items():
            for piece in pieces:
                piece.data.copy_(read(kind, piece.name, piece.start, piece.data.numel()))

    def spread(self) -> None:
        """Make the network's weights from those of all ranks' optimizers; all ranks call it."""
        self._layout.after_loading()

    def _make_states(self, num_updates: int) -> None:
        """AdamW's states as after so many updates. It makes them in its first one, and DeepSpeed keeps views of them:
        so those that are there are kept."""
        state = self._adamw.state
        if not num_updates:
            state.clear()
            return
        fused = any(group["fused"] for group in self._adamw.param_groups)
        for flat in self._layout.flats():
            if not state[flat]:
                state[flat] = {kind: torch.zeros_like(flat) for kind in MOMENTS}
            state[flat]["step"] = count_of_updates(num_updates, flat, fused=fused)


def count_of_updates(num_updates: int, weights: Tensor, *, fused: bool) -> Tensor:
    """AdamW's `step` of `weights`, a number: its fused kernels read it on their device, all else on the CPU."""
    return torch.tensor(float(num_updates), device=weights.device if fused else "cpu")


def _shape(parameter: Any) -> tuple[int, ...]:
    return tuple(getattr(parameter, "ds_shape", parameter.shape))
