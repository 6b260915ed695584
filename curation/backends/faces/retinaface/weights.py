"""Reading the public weights: which backbone and which release a file holds, and the network with its weights.

The backbone shows in the keys. Releases share their keys, but their batch norms remember what they saw in training:

- The first convolution's outputs vary in proportion to its input. Pictures normalised by ImageNet's spread vary about
  58² = 3,400 times less than pictures of 0 to 255.
- The mean of a depthwise convolution's output is its kernel's sum times the mean of its input, which follows from the
  batch norm and the rectifier before it, leaky or plain. This holds for the first one, whose maps are so large that the
  zeros beyond their edges hardly count, and whose input is nearly normal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch

from curation.backends.faces.retinaface.network import RetinaFaceNetwork
from curation.backends.faces.retinaface.releases import MOBILENET, RELEASES, RESNET, Release
from infra.config import ConfigError

State = Mapping[str, torch.Tensor]

RAW_INPUT_VARIANCE: Final = 60.0
"""Median of the first convolution's output variance over its squared weights, above which its input ranged over 0 to
255: 7,500 in a file of such; it would be about 2 for ImageNet's normalisation."""


CLEAR: Final = 4.0
"""How many times worse the other rectifier must explain the means. For a file of plain ones it is 10,000 times."""


def load_retinaface(path: str, release: str = "auto") -> tuple[RetinaFaceNetwork, Release]:
    """The network of a public file, ready to run on the CPU, and the release that it is of.

    Raises:
        ConfigError: no weights, another network's weights, or not of the release that was named.
    """
    state = _read(path)
    backbone = RESNET if "body.layer1.0.conv1.weight" in state else MOBILENET
    if difference := _difference(_empty(backbone, 0.0).state_dict(), state):
        raise ConfigError(f"{path} is not RetinaFace with mobilenet0.25 or ResNet-50: {difference}")
    name = recognise(state, backbone) if release == "auto" else release
    if name is None:
        candidates = " or ".join(name for name, each in RELEASES.items() if backbone in each.backbones)
        raise ConfigError(f"{path}: cannot tell of which release it is; name it: release={candidates}")
    chosen = RELEASES[name]
    if backbone not in chosen.backbones:
        raise ConfigError(f"{path} has the backbone {backbone}; release {name} has {' and '.join(chosen.backbones)}")
    network = _empty(backbone, chosen.negative_slope)
    network.load_state_dict(state, assign=True)
    return network.float().eval().requires_grad_(requires_grad=False), chosen


def recognise(state: State, backbone: str) -> str | None:
    """The name of the release that the weights are of, told from their batch norms; None where they do not tell."""
    if backbone == RESNET:
        kernels, variance = state["body.conv1.weight"], state["body.bn1.running_var"]
        gain = float((variance / kernels.square().sum((1, 2, 3)).clamp_min(1e-12)).median())
        return "pytorch_retinaface" if gain > RAW_INPUT_VARIANCE else "ternaus"
    candidates = [name for name, release in RELEASES.items() if MOBILENET in release.backbones]
    surprise = {name: rectifier_surprise(state, RELEASES[name].negative_slope) for name in candidates}
    best, other = sorted(candidates, key=surprise.__getitem__)
    return best if surprise[other] > CLEAR * surprise[best] else None


def rectifier_surprise(state: State, negative_slope: float) -> float:
    """How badly a rectifier of this slope explains the means that the first depthwise convolution saw in training.

    The mean squared distance, in standard deviations, over its channels.
    """
    spread, shift = state["body.stage1.0.1.weight"].abs().clamp_min(1e-6), state["body.stage1.0.1.bias"]
    mean = _rectified_mean(shift, spread) - negative_slope * _rectified_mean(-shift, spread)
    expected = state["body.stage1.1.0.weight"].sum((1, 2, 3)) * mean
    deviation = state["body.stage1.1.1.running_var"].clamp_min(1e-5).sqrt()
    return float(((expected - state["body.stage1.1.1.running_mean"]) / deviation).square().mean())


def _rectified_mean(mean: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Mean of the positive part of a normal distribution."""
    ratio = mean / spread
    density = torch.exp(-ratio.square() / 2) / math.sqrt(2 * math.pi)
    positive: torch.Tensor = mean * torch.special.ndtr(ratio) + spread * density
    return positive


def _read(path: str) -> State:
    """The tensors of a file by the published keys: some files wrap them, or prefix them with `module.`."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path} is not a file of RetinaFace weights ({reason})") from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ConfigError(f"{path} is not a file of RetinaFace weights (it holds no tensors by name)")
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def _empty(backbone: str, negative_slope: float) -> RetinaFaceNetwork:
    """The network without memory for its weights, which the file brings."""
    with torch.device("meta"):
        return RetinaFaceNetwork(backbone, negative_slope)


def _difference(expected: State, found: State) -> str | None:
    """The first difference in keys or shapes, in words."""
    if missing := sorted(expected.keys() - found.keys()):
        return f"{len(missing)} of its {len(expected)} tensors are not there, such as {missing[0]}"
    if extra := sorted(found.keys() - expected.keys()):
        return f"it holds {len(extra)} tensors more, such as {extra[0]}"
    for key, tensor in expected.items():
        if tensor.shape != found[key].shape:
            return f"{key} is {tuple(found[key].shape)} and should be {tuple(tensor.shape)}"
    return None
