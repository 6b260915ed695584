"""Muon: steps whose matrices are orthogonal (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).

A convolution's weights count as a matrix of its outputs by all else. PyTorch's own `torch.optim.Muon` takes nothing but
matrices.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor, nn

MOMENTUM: Final = 0.9
NEWTON_SCHULZ: Final = (3.4445, -4.7750, 2.0315)
"""Coefficients of the published iteration."""


class Muon(torch.optim.Optimizer):
    """Momentum, then the nearest orthogonal matrix in place of it.

    Args:
        parameters: of two dimensions or more.
        lr: size of a step; the root of the mean square of a wide matrix' step is this over the root of its width.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override] # there is no loss to be computed again
        """Take a step; parameters that got no gradient stay."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
                average.lerp_(parameter.grad, 1 - MOMENTUM)
                # Nesterov: as if the average had moved on already.
                direction = orthogonal(parameter.grad.lerp(average, MOMENTUM).flatten(1))
                rows, columns = direction.shape
                parameter.sub_(direction.view_as(parameter), alpha=group["lr"] * max(1.0, rows / columns) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """The orthogonal matrix nearest to `matrix`, roughly: singular values come out between 0.7 and 1.2."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    wide: Tensor = matrix.T if is_tall else matrix
    wide = wide / (wide.norm() + 1e-7)
    linear, cubic, quintic = NEWTON_SCHULZ
    for _ in range(5):
        square = wide @ wide.T
        wide = linear * wide + (cubic * square + quintic * square @ square) @ wide
    return wide.T if is_tall else wide
