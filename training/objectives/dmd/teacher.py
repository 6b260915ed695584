"""The frozen teacher of a distillation, and where its weights are kept while they are not needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from model.network.transformer import SoulTransformer3DModel
from training.distributed.ranks import Ranks
from training.distributed.trained_model import ParallelConfig, TrainedModel, matrix_products
from training.objectives.flow_matching import VelocityModel

Placement = Literal["resident", "offload", "zero3"]


class Teacher(Protocol):
    """A network that predicts and is never trained; all ranks use it alike."""

    def present(self) -> AbstractContextManager[VelocityModel]:
        """Inside, the weights are on the device; the value predicts velocities without a gradient."""
        ...


class PlacedTeacher:
    """A teacher with weights of its own.

    Args:
        module: the network; changed in place.
        placement: `resident` keeps it on the device, `offload` in host memory while it is not used, `zero3` shares its
            weights out over the ranks, which gather them layer by layer.
        parallel: how precisely it computes.
        ranks: the ranks that use it.
    """

    def __init__(
        self, module: SoulTransformer3DModel, placement: Placement, parallel: ParallelConfig, ranks: Ranks
    ) -> None:
        self.module = module.eval().requires_grad_(requires_grad=False)
        self.placement = placement
        self.precision = parallel.precision
        self.device = ranks.device
        if placement == "zero3":
            import deepspeed  # noqa: PLC0415 (see ranks.py)

            # Without an optimizer the engine only partitions the weights; its hooks gather each layer before it runs.
            # DeepSpeed's own linear layer would replace torch's in every network of the process. It rounds differently,
            # and it saves memory only in a backward, which a teacher does not have.
            zero = {
                "stage": 3,
                "memory_efficient_linear": False,
                "stage3_max_live_parameters": parallel.live_parameters,
                "stage3_max_reuse_distance": parallel.live_parameters,
            }
            config: dict[str, Any] = {"train_micro_batch_size_per_gpu": 1, "zero_optimization": zero}
            self.engine, *_ = deepspeed.initialize(model=self.module, config=config, dist_init_required=False)
        elif placement == "resident":
            self.module.to(self.device)

    @contextmanager
    def present(self) -> Iterator[VelocityModel]:
        """See `Teacher.present`."""
        if self.placement == "offload":
            self.module.to(self.device)
        try:
            yield self._velocity
        finally:
            if self.placement == "offload":
                self.module.to("cpu")

    @torch.no_grad()
    def _velocity(self, latents: Tensor, timesteps: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        with matrix_products(self.precision, self.device):
            velocity: Tensor = self.module(latents, timesteps, text, audio, return_dict=False)[0]
        return velocity


class AdaptedTeacher:
    """The teacher inside a LoRA critic: the critic with its adapters switched off.

    Args:
        critic: the network whose frozen base weights are the teacher's.
    """

    def __init__(self, critic: TrainedModel) -> None:
        self.critic = critic

    @contextmanager
    def present(self) -> Iterator[VelocityModel]:
        """See `Teacher.present`."""
        module = self.critic.module
        assert isinstance(module, SoulTransformer3DModel)
        module.disable_adapters()
        try:
            yield self.critic.predict
        finally:
            module.enable_adapters()
