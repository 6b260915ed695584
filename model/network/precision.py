"""Layers that compute in fp32 whatever the type of everything else."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional


class FP32RMSNorm(nn.RMSNorm):
    """RMSNorm computed and returned in fp32, whatever the type of the weights and the input."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of `x`."""
        return functional.rms_norm(x.float(), self.normalized_shape, self.weight.float(), self.eps)


class FP32Linear(nn.Linear):
    """A linear layer computed and returned in fp32, whatever the type of the weights and the input."""

    def forward(self, x: Tensor) -> Tensor:
        """Project the last dimension of `x`."""
        with without_autocast(x.device.type):
            return functional.linear(x.float(), self.weight.float(), self.bias.float())


def without_autocast(device_type: str) -> AbstractContextManager[object]:
    """Inside a bf16 autocast, keep what is computed here in its own type."""
    # The meta device, on which operations are counted, has no autocast.
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()
