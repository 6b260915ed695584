"""Weights, gradients, optimizer states and average of a network under training, as DeepSpeed's ZeRO lays them out.

All in bytes, on one rank. All numbers are fp32. DeepSpeed keeps a copy of the weights that a rank updates beside the
weights themselves, even where both are fp32.
"""

from __future__ import annotations

from dataclasses import dataclass

NUMBER = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class States:
    """A network under training on one of `world` ranks."""

    parameters: int
    """All that the network has."""
    trained: int
    """Those that are trained."""
    zero_stage: int
    world: int
    accumulation: int
    """Backwards of an optimizer step."""
    offload: bool
    """Whether optimizer states are in host memory."""
    averaged: bool
    """Whether an average is kept on the device."""
    reduce_bucket: int
    """See `ParallelConfig`."""
    live_parameters: int
    """See `ParallelConfig`."""

    @property
    def _part(self) -> int:
        """Bytes of a rank's part of what is trained."""
        return NUMBER * -(-self.trained // self.world)

    def weights(self) -> int:
        """The network's weights: all of them, under ZeRO-3 a rank's part."""
        return NUMBER * (-(-self.parameters // self.world) if self.zero_stage == 3 else self.parameters)

    def gathered(self) -> int:
        """Under ZeRO-3, whole parameters at work or fetched ahead."""
        return NUMBER * min(self.live_parameters, self.parameters) if self.zero_stage == 3 else 0

    def lasting_gradients(self) -> int:
        """Gradients that have their place all the time."""
        return self._part if self.zero_stage == 3 and not self.offload else 0

    def gradients(self) -> int:
        """Gradients at the end of a step's last backward, beside `lasting_gradients`.

        ZeRO-1 keeps them whole until then. ZeRO-2 keeps a rank's part: twice where it is accumulated, once for the sum
        and once for the backward that is going on.
        """
        if self.zero_stage == 1:
            return NUMBER * self.trained
        if self.zero_stage == 3 or self.offload:
            return 0
        return self._part * (2 if self.accumulation > 1 else 1)

    def optimizer(self) -> int:
        """The copy of the weights that is updated, and AdamW's two moments of it."""
        return 0 if self.offload else 3 * self._part

    def average(self) -> int:
        """A rank's part of the average; as much is kept aside while the average is in the place of the weights."""
        return self._part if self.averaged else 0

    def lasting_buckets(self) -> int:
        """Buckets that have their place all the time."""
        return NUMBER * self.reduce_bucket if self.zero_stage == 3 else 0

    def buckets(self) -> int:
        """Buckets of a backward: ZeRO-2 fills one while it sums another; and the flat copy that is summed."""
        filled = {1: 1, 2: 2, 3: 0}[self.zero_stage]
        return NUMBER * (filled + 1) * self.reduce_bucket

    def update(self) -> int:
        """What an optimizer step needs for itself: the flat gradients that it works on."""
        return 0 if self.offload else self._part
