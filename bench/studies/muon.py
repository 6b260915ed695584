"""Muon for the kernels of a convolutional network, AdamW for all else: what learns something in minutes on a CPU.

On the small autoencoder of `bench.studies.small_vae`, AdamW alone came 2 dB less far in the same time. torch's own Muon
orthogonalises in bf16, for which most CPUs have no instructions: with it a step of the codec's refiner took 0.77 s of
one core, with this one 0.29 s.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

MUON_LR, ADAMW_LR, WARMUP_STEPS = 0.02, 3e-3, 20
MOMENTUM: Final = 0.9
LAST_SHARE: Final = 0.03
"""Of the learning rates, in the last step."""
_NEWTON_SCHULZ: Final = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (Jordan et al. 2024, "Muon"), which takes singular values towards 1."""


class KernelOptimizer:
    """Updates all parameters of a network; its learning rates rise for some steps, then fall along a cosine."""

    def __init__(self, module: nn.Module, *, steps: int) -> None:
        """Of a network that takes `steps` steps."""
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.kernels = {kernel: torch.zeros_like(kernel) for kernel in trained if kernel.numel() > len(kernel)}
        others = [parameter for parameter in trained if parameter.numel() == len(parameter)]
        self.adamw = torch.optim.AdamW(others, lr=ADAMW_LR, betas=(0.9, 0.99), weight_decay=0)
        self.steps, self.done = steps, 0

    def step(self, loss: Tensor) -> None:
        """Update the network by the gradient of a loss."""
        along = 0.5 * (1 + math.cos(math.pi * self.done / self.steps))
        share = min(1, (self.done + 1) / WARMUP_STEPS) * (LAST_SHARE + (1 - LAST_SHARE) * along)
        torch.autograd.backward(loss)
        for group in self.adamw.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
            group["lr"] = ADAMW_LR * share
        self.adamw.step()
        self.adamw.zero_grad()
        with torch.no_grad():
            for kernel, momentum in self.kernels.items():
                if kernel.grad is not None:
                    momentum.lerp_(kernel.grad, 1 - MOMENTUM)
                    update = orthogonalised(kernel.grad.lerp(momentum, MOMENTUM).flatten(1))
                    scale = math.sqrt(max(1, len(update) / update.shape[1]))
                    kernel.sub_(update.reshape(kernel.shape), alpha=MUON_LR * share * scale)
                    kernel.grad = None
        self.done += 1


def orthogonalised(matrix: Tensor) -> Tensor:
    """The nearest matrix (M, N) whose singular values are about 1, by five steps of Newton-Schulz."""
    a, b, c = _NEWTON_SCHULZ
    wide = matrix.T if len(matrix) > matrix.shape[1] else matrix
    x: Tensor = wide / wide.norm().clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if wide is not matrix else x
