"""A network under training: a DeepSpeed engine, its learning rate, and its moving average."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from infra.config import ConfigError
from model.network.attention_kernels import AUTO
from model.network.compilation import CompileChoice, can_compile, compile_blocks, compiled
from model.network.transformer import SoulTransformer3DModel
from training.distributed.ema import Ema, EmaConfig
from training.distributed.gradient_checkpointing import GradientCheckpointing, checkpoint_gradients
from training.distributed.ranks import Ranks

Precision = Literal["bfloat16", "float32"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """AdamW and its learning rate."""

    lr: float = 2e-5
    """Paper, Sec. 5.1."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's usual values; the paper says nothing."""
    weight_decay: float = 0.01
    """Weight decay of matrices; vectors (norms, biases, modulation) have none. AdamW's usual value."""
    clip: float = 1.0
    """Largest norm of the gradient over all parameters; 0 does not clip."""
    warmup_steps: int = 500
    """Steps over which the learning rate rises from 0."""
    schedule: Literal["constant", "cosine"] = "constant"
    """How the learning rate goes on; `cosine` ends at a tenth of `lr`."""

    def factor(self, step: int, total_steps: int) -> float:
        """The factor on the learning rate in step `step`, counted from 0."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.schedule == "constant":
            return warm
        progress = min(1.0, max(0, step - self.warmup_steps) / max(1, total_steps - self.warmup_steps))
        return warm * (0.55 + 0.45 * math.cos(math.pi * progress))


@dataclass(frozen=True, kw_only=True, slots=True)
class ParallelConfig:
    """How a network is laid out over the devices, and how precisely it computes."""

    zero_stage: Literal[1, 2, 3] = 2
    """What the ranks share out: 1 optimizer states, 2 gradients too (6B parameters fit 80 GB), 3 weights too."""
    offload_optimizer: bool = False
    """Keep optimizer states in host memory."""
    sequence_parallel: int = 1
    """Ranks that share every clip; it divides the attention heads and a latent frame's tokens."""
    precision: Precision = "bfloat16"
    """Of matrix products. Weights, modulation, norms and gradients are fp32 either way."""
    gradient_checkpointing: GradientCheckpointing = "full"
    """What the backward pass computes again rather than keep: `full`, every block; `attention`, all of it but the
    kernels of self-attention, for 4.5 GB (720p) or 10.5 GB (1080p) more a clip; `none`, nothing."""
    attention: str = AUTO
    """The kernel of attention: a backend of diffusers (`native`, `_native_cudnn`, `flash`, `_flash_3`, ...), or `auto`:
    the fastest that works of FlashAttention 3, cuDNN, FlashAttention 2 and torch's own choice."""
    compile: CompileChoice = "auto"
    """Whether the network's `blocks` are compiled, or `none`. It takes minutes in the first steps, and makes a step of
    the 5B model 10 to 18 % shorter. `auto`: on GPUs with Triton, but not under ZeRO-3, which gathers weights between
    layers and so cannot be part of compiled code."""

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.compile == "blocks" and self.zero_stage == 3:
            raise ValueError(
                "parallel.compile=blocks does not work with zero_stage=3, which gathers weights between layers: choose "
                "compile=none or zero_stage=2"
            )

    def compiles(self, device: torch.device) -> bool:
        """Whether blocks are compiled on a device."""
        return self.compile == "blocks" or (self.compile == "auto" and self.zero_stage != 3 and can_compile(device))


def matrix_products(precision: Precision, device: torch.device) -> torch.autocast:
    """Inside, matrix products are of this precision, as DeepSpeed's engine makes them."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


class TrainedModel:
    """A network with everything its training needs; all ranks call all methods.

    Args:
        name: folder of its states in a checkpoint.
        module: the network, fp32; changed in place.
        optimizer: see `OptimizerConfig`.
        parallel: see `ParallelConfig`.
        ema: see `EmaConfig`; None keeps no average.
        ranks: who trains.
        micro_batch: samples of a forward.
        accumulation: forwards of an optimizer step.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        *,
        optimizer: OptimizerConfig,
        parallel: ParallelConfig,
        ema: EmaConfig | None,
        ranks: Ranks,
        micro_batch: int,
        accumulation: int,
    ) -> None:
        import deepspeed  # noqa: PLC0415 (see ranks.py)

        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        self.name = name
        self.module = module
        self.optimizer = optimizer
        self.ranks = ranks
        self.precision = parallel.precision
        self.is_adapted = any(not parameter.requires_grad for parameter in module.parameters())
        if isinstance(module, SoulTransformer3DModel):
            is_compiled = parallel.compiles(ranks.device)
            checkpoint_gradients(module, parallel.gradient_checkpointing, compiled if is_compiled else None)
            if is_compiled:
                compile_blocks(module)
        config = _deepspeed_config(optimizer, parallel, micro_batch, accumulation)
        self.engine, *_ = deepspeed.initialize(
            model=module, optimizer=_adamw(module, optimizer), config=config, dist_init_required=False
        )
        self.grad_norm = 0.0
        """The gradient's norm in the last step that this process made; 0 before the first."""
        self.ema = None if ema is None else Ema(module, ema, ranks)

    def velocity(self, latents: Tensor, timesteps: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        """The network's prediction, as `objectives.flow_matching.VelocityModel`."""
        prediction: Tensor = self.engine(latents, timesteps, text, audio, return_dict=False)[0]
        return prediction

    @torch.no_grad()
    def predict(self, latents: Tensor, timesteps: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        """The network's prediction without a gradient."""
        # Not through the engine, which expects a backward after every forward.
        with matrix_products(self.precision, self.ranks.device):
            prediction: Tensor = self.module(latents, timesteps, text, audio, return_dict=False)[0]
        return prediction

    def backward(self, loss: Tensor, *, step: int, total_steps: int) -> None:
        """Add the gradient of a micro-batch's loss; after the last one of a step, change the weights."""
        self.engine.backward(loss)
        is_last = self.engine.is_gradient_accumulation_boundary()
        if is_last:
            lr = self.optimizer.lr * self.optimizer.factor(step, total_steps)
            for group in self.engine.optimizer.param_groups:
                group["lr"] = lr
        self.engine.step()
        if is_last:
            self.grad_norm = float(self.engine.get_global_grad_norm())
            if self.ema is not None:
                self.ema.update(step)

    @property
    def lr(self) -> float:
        """Learning rate of the last step."""
        return float(self.engine.optimizer.param_groups[0]["lr"])

    def save(self, folder: Path) -> None:
        """Write trained weights, optimizer states and average of this rank."""
        self.engine.save_checkpoint(str(folder), tag=self.name, save_latest=False, exclude_frozen_parameters=True)
        if self.ema is not None:
            torch.save(self.ema.state_dict(), folder / f"ema-{self.name}-{self.ranks.rank:05d}.pt")

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote.

        Raises:
            ConfigError: it was written by another kind of network.
        """
        groups = self.engine.optimizer.param_groups
        told = [{name: group[name] for name in ("betas", "weight_decay")} for group in groups]
        try:
            path, _ = self.engine.load_checkpoint(str(folder), tag=self.name, load_module_strict=not self.is_adapted)
            if path is None:
                raise ConfigError(f"{folder} does not fit this training: it has no states of {self.name!r}")
            # The engine has loaded the settings that the checkpoint was written with; those of the recipe count.
            for group, settings in zip(self.engine.optimizer.param_groups, told, strict=True):
                group.update(settings)
            if self.ema is not None:
                self.ema.load_state_dict(torch.load(folder / f"ema-{self.name}-{self.ranks.rank:05d}.pt"))
        except (RuntimeError, AssertionError, FileNotFoundError, KeyError) as error:
            raise ConfigError(f"{folder} does not fit this training: {_first_line(error)}") from error


def _adamw(module: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.lr, betas=config.betas)


def _deepspeed_config(
    optimizer: OptimizerConfig, parallel: ParallelConfig, micro_batch: int, accumulation: int
) -> dict[str, Any]:
    zero: dict[str, Any] = {"stage": parallel.zero_stage}
    if parallel.offload_optimizer:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    return {
        "train_micro_batch_size_per_gpu": micro_batch,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": optimizer.clip,
        "zero_optimization": zero,
        # `bf16.enabled` would cast what has to stay fp32, and gradients would be summed in bf16. Without this empty
        # list, DeepSpeed would sum the gradients of linear layers over ranks in bf16, even with fp32 weights.
        "torch_autocast": {
            "enabled": parallel.precision == "bfloat16",
            "dtype": "bfloat16",
            "lower_precision_safe_modules": [],
        },
        "data_types": {"grad_accum_dtype": "fp32"},
        # torch's AdamW runs anywhere; DeepSpeed's own for offloading compiles C++ at its first use.
        "zero_force_ds_cpu_optimizer": False,
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 2**62,
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
