"""The difference of a trained network from another as a LoRA: matrices of a low rank beside the linear layers.

Letters: O outputs and I inputs of a layer, R rank. A layer's LoRA is down (R, I) and up (O, R); up · down is close to
the difference of its weights, with the least squared error that a matrix of rank R can have (Eckart and Young).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from infra.config import ConfigError
from model.weights.wan_names import AUDIO_MODULES
from training.weight_files import Weight

OVERSAMPLING: Final = 16
"""Further directions that are looked for at random beside those that are kept."""
ITERATIONS: Final = 6
"""Power iterations of the search at random: singular values of a training's difference fall slowly."""
EXACT_BELOW: Final = 8
"""A full decomposition is made where the smaller side is less than this many times the rank."""
SEED: Final = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraLayer:
    """The LoRA of one linear layer."""

    name: str
    """Of the layer, as the network has it."""
    down: Tensor = field(repr=False)
    """(R, I)"""
    up: Tensor = field(repr=False)
    """(O, R)"""
    bias: Tensor | None = field(repr=False)
    """(O,) difference of its bias, which is whole; None if the layer has none."""
    energy: float
    """Sum of the squares of the difference of its weights."""
    kept: float
    """The part of it that the rank keeps, 0 to 1."""

    @property
    def is_audio(self) -> bool:
        """Whether Wan2.2 has no such layer."""
        return is_audio(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A parameter whose difference a LoRA of linear layers cannot have."""

    name: str
    energy: float
    """Sum of the squares of its difference."""


def is_audio(name: str) -> bool:
    """Whether a parameter or a layer belongs to what Wan2.2 does not have."""
    return not AUDIO_MODULES.isdisjoint(name.split("."))


def difference(
    trained: Mapping[str, Weight], base: Mapping[str, Weight], *, rank: int, audio: bool, device: torch.device
) -> Iterator[LoraLayer | LeftOut]:
    """The difference of two networks, parameter by parameter; two of these are in memory at a time.

    Layers that do not differ are passed over.

    Args:
        trained: the network that is wanted.
        base: the network that the LoRA is to be loaded into.
        rank: R of every layer. Where a layer's sides are smaller, the rest is zeros, so that all have the same.
        audio: whether the audio layers have a LoRA too; otherwise they are left out.
        device: where the decompositions are computed.

    Raises:
        ConfigError: the networks have different parameters; the message names the first.
    """
    _check_alike(trained, base)
    layers = {name.removesuffix(".weight") for name, each in trained.items() if _is_linear(name, each)}
    layers = {layer for layer in layers if audio or not is_audio(layer)}
    for name in trained:
        layer, _, leaf = name.rpartition(".")
        if layer in layers and leaf == "bias":
            continue  # goes along with its weight
        delta = _delta(trained, base, name)
        energy = float(delta.double().square().sum())
        if layer not in layers:
            if energy:
                yield LeftOut(name=name, energy=energy)
            continue
        bias = _delta(trained, base, f"{layer}.bias") if f"{layer}.bias" in trained else None
        if energy or (bias is not None and bias.any()):
            down, up = decompose(delta.to(device), rank)
            kept = 1 - float((delta.to(device) - up @ down).double().square().sum()) / energy if energy else 1.0
            yield LoraLayer(name=layer, down=down.cpu(), up=up.cpu(), bias=bias, energy=energy, kept=max(0.0, kept))


def decompose(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Down (R, I) and up (O, R) whose product is close to a matrix (O, I) fp32; each has half of its size.

    Of a rank that is much smaller than the matrix, its directions are found by a search at random that goes over the
    matrix a few times (Halko, Martinsson and Tropp), the same each time.
    """
    smaller = min(matrix.shape)
    if smaller < EXACT_BELOW * rank:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        left, values, right = left[:, :rank], values[:rank], right[:rank]
    else:
        with torch.random.fork_rng(devices=[matrix.device] if matrix.is_cuda else []):
            torch.manual_seed(SEED)
            left, values, turned = torch.svd_lowrank(matrix, q=rank + OVERSAMPLING, niter=ITERATIONS)
        left, values, right = left[:, :rank], values[:rank], turned.T[:rank]
    half = values.sqrt()
    down, up = half[:, None] * right, left * half
    lacking = rank - len(values)
    return torch.nn.functional.pad(down, (0, 0, 0, lacking)), torch.nn.functional.pad(up, (0, lacking))


def _is_linear(name: str, weight: Weight) -> bool:
    return name.endswith(".weight") and len(weight.shape) == 2


def _delta(trained: Mapping[str, Weight], base: Mapping[str, Weight], name: str) -> Tensor:
    return trained[name].read().float() - base[name].read().float()


def _check_alike(trained: Mapping[str, Weight], base: Mapping[str, Weight]) -> None:
    for name in sorted(trained.keys() | base.keys()):
        if name not in base or name not in trained:
            raise ConfigError(f"only {'the trained network' if name in trained else 'the base'} has {name!r}")
        if tuple(trained[name].shape) != tuple(base[name].shape):
            raise ConfigError(f"{name!r} is {tuple(trained[name].shape)}, in the base {tuple(base[name].shape)}")
