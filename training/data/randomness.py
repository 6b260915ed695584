"""Randomness that belongs to a draw, not to a process.

Whatever is random about a sample in training (its reference, its noise, its timestep, …) comes from generators seeded
by the training's seed and the draw's number. So a training draws the same numbers on one rank and on a hundred,
undisturbed or resumed, and there is no generator state to save.

Letters: B batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def seed_of(seed: int, *purpose: object) -> int:
    """A 63-bit seed for one purpose."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


class DrawRandom:
    """Random numbers of each draw in a batch, on the device that needs them.

    Args:
        seed: the training's.
        numbers: (B,) of the draws.
        purpose: sets apart what must not be correlated: the conditioning, the noise, a later phase.
        device: where numbers are drawn; a CPU and a GPU draw different ones.
    """

    def __init__(self, seed: int, numbers: Sequence[int], purpose: str, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.generators = [
            torch.Generator(self.device).manual_seed(seed_of(seed, purpose, number)) for number in numbers
        ]

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape) fp32 from the standard normal distribution."""
        return torch.stack([torch.randn(shape, generator=each, device=self.device) for each in self.generators])

    def uniform(self) -> Tensor:
        """(B,) fp32, uniform in [0, 1)."""
        return torch.stack([torch.rand((), generator=each, device=self.device) for each in self.generators])
