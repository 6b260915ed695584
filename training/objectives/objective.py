"""What the trainer asks of an objective, so that one loop serves every stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from training.data.conditioning import Batch
from training.distributed.trained_model import TrainedModel
from training.monitoring.metrics import Averages


class Objective(Protocol):
    """What a stage minimises, with the networks that it trains."""

    models: Sequence[TrainedModel]
    """All trained networks. The average of the first one becomes the stage's result."""
    needs_initial: bool
    """Whether training always needs the model that it began with, as a teacher."""
    forwards: float
    """Work of the last step, in forwards of the network for each sample; a backward counts as two."""

    def train_step(self, batches: Sequence[Batch], *, step: int, total_steps: int) -> Averages:
        """One optimizer step, on this rank's micro-batches of one effective batch; returns what is to be logged.

        Args:
            batches: the micro-batches, on the ranks' device.
            step: number of the step, from 0.
            total_steps: steps of the whole training, for schedules.
        """
        ...

    def validation_loss(self, batch: Batch) -> Tensor:
        """(B,) errors of held-out samples, the same every time for the same weights. Each objective says what its error
        is; less is better."""
        ...
