"""A network under training: a DeepSpeed engine, its learning rate, and its moving average."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from model.network.attention_kernels import AUTO
from model.network.compilation import CompileChoice, can_compile, compile_blocks, compiled
from model.network.transformer import SoulTransformer3DModel
from training.distributed.ema import Ema, EmaConfig
from training.distributed.gradient_checkpointing import GradientCheckpointing, checkpoint_gradients
from training.distributed.network_states import NetworkStates
from training.distributed.partitions import Partitions
from training.distributed.ranks import Ranks
from training.distributed.snapshot import Snapshot

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
    sequence_parallel: int | Literal["auto"] = 1
    """Ranks that share every clip; it divides the attention heads and a latent frame's tokens. `auto` is the smallest
    number that fits the GPUs (`python -m training plan`), and 1 on CPUs."""
    precision: Precision = "bfloat16"
    """Of matrix products. Weights, modulation, norms and gradients are fp32 either way."""
    residual_in_fp32: bool | None = None
    """Whether the tokens between the network's layers are fp32, as in Wan's own code: exact sums over all blocks for
    twice the memory of each block's input. If not given, as the model directory says."""
    gradient_checkpointing: GradientCheckpointing = "full"
    """What the backward pass computes again rather than keep: `full`, every block; `attention`, all of it but the
    kernels of self-attention, for 4.5 GB (720p) or 10.5 GB (1080p) more a clip; `none`, nothing."""
    reduce_bucket: int = 200_000_000
    """Gradients that ranks sum at once, in numbers of 4 bytes. From ZeRO-2 on that overlaps with the backward; ZeRO-2
    has two such buckets for it, ZeRO-1 and 3 have one. Larger buckets use the network better."""
    live_parameters: int = 500_000_000
    """ZeRO-3: parameters, of 4 bytes, that a rank has whole at a time; a block of the 5B model has 200 million."""
    attention: str = AUTO
    """The kernel of attention: a backend of diffusers (`native`, `_native_cudnn`, `flash`, `_flash_3`, ...), or `auto`:
    the fastest that works of FlashAttention 3, cuDNN, FlashAttention 2 and torch's own choice."""
    compile: CompileChoice = "auto"
    """Whether the network's `blocks` are compiled, or `none`. It takes minutes in the first steps, and makes a step of
    the 5B model 10 to 18 % shorter. `auto`: on GPUs with Triton, but not under ZeRO-3, which gathers weights between
    layers and so cannot be part of compiled code."""

    def __post_init__(self) -> None:
        """Refuse buckets that hold nothing, and what does not go together."""
        if min(self.reduce_bucket, self.live_parameters) < 1:
            raise ValueError("parallel.reduce_bucket and parallel.live_parameters are at least 1")
        if self.compile == "blocks" and self.zero_stage == 3:
            raise ValueError(
                "parallel.compile=blocks does not work with zero_stage=3, which gathers weights between layers: choose "
                "compile=none or zero_stage=2"
            )

    def compiles(self, device: torch.device) -> bool:
        """Whether blocks are compiled on a device."""
        return self.compile == "blocks" or (self.compile == "auto" and self.zero_stage != 3 and can_compile(device))


def matrix_products(precision: Precision, device: torch.device) -> torch.autocast:
    """Inside, matrix products are of this precision.

    Without autocast's cache, which keeps a bf16 copy of every weight until the forward ends, 12.3 GB of the 5B model.
    It saves casting a weight again, and these networks use each once a forward; a backward that computes a block again
    is past the cache anyway.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)


class TrainedModel:
    """A network with everything its training needs; all ranks call all methods.

    Args:
        name: folder of its states in a checkpoint.
        module: the network, fp32; changed in place: whoever calls it from now on, its matrix products are of
            `parallel.precision`.
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
        if isinstance(module, SoulTransformer3DModel):
            is_compiled = parallel.compiles(ranks.device)
            checkpoint_gradients(module, parallel.gradient_checkpointing, compiled if is_compiled else None)
            if is_compiled:
                compile_blocks(module)
        # Around the network's own forward, because DeepSpeed's engine switches off an autocast around itself.
        module.forward = matrix_products(parallel.precision, ranks.device)(module.forward)
        on_gpu = ranks.device.type == "cuda" and not parallel.offload_optimizer
        self.engine, *_ = deepspeed.initialize(
            model=module,
            optimizer=_adamw(module, optimizer, fused=on_gpu),
            config=_deepspeed_config(optimizer, parallel, micro_batch, accumulation),
            dist_init_required=False,
        )
        self.grad_norm = 0.0
        """The gradient's norm in the last step that this process made; 0 before the first."""
        self.ema = None if ema is None else Ema(module, ema, ranks)
        partitions = Partitions(module, self.engine.optimizer, ranks.rank)
        self._states = NetworkStates(name, module, partitions, self.ema, ranks)

    def velocity(self, latents: Tensor, timesteps: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        """The network's prediction, as `objectives.flow_matching.VelocityModel`."""
        prediction: Tensor = self.engine(latents, timesteps, text, audio, return_dict=False)[0]
        return prediction

    @torch.no_grad()
    def predict(self, latents: Tensor, timesteps: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        """The network's prediction without a gradient."""
        # Not through the engine, which expects a backward after every forward.
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

    def snapshot(self) -> Snapshot:
        """What a checkpoint keeps of this rank: trained weights, optimizer states, average. They are views: training
        changes them."""
        return self._states.snapshot()

    def save(self, folder: Path) -> None:
        """Write this rank's part of what `snapshot` gives.

        Raises:
            OSError: a file could not be written.
        """
        self.snapshot().write(folder)

    def load(self, folder: Path) -> None:
        """Take up what any number of ranks wrote, under any stage of ZeRO.

        Raises:
            ConfigError: it was written by another kind of network; raised on all ranks.
        """
        self._states.load(folder)


def _adamw(module: nn.Module, config: OptimizerConfig, *, fused: bool) -> torch.optim.Optimizer:
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    # Fused, it reads and writes everything once; otherwise it makes temporary copies as large as its states.
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=fused or None)


def _deepspeed_config(
    optimizer: OptimizerConfig, parallel: ParallelConfig, micro_batch: int, accumulation: int
) -> dict[str, Any]:
    zero: dict[str, Any] = {
        "stage": parallel.zero_stage,
        # ZeRO-1 reduces gradients only after the last backward of a step: there is nothing to overlap with.
        "overlap_comm": parallel.zero_stage > 1,
        "contiguous_gradients": True,
        "reduce_bucket_size": parallel.reduce_bucket,
        "stage3_max_live_parameters": parallel.live_parameters,
        "stage3_max_reuse_distance": parallel.live_parameters,
    }
    if parallel.offload_optimizer:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    return {
        "train_micro_batch_size_per_gpu": micro_batch,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": optimizer.clip,
        "zero_optimization": zero,
        # DeepSpeed knows nothing of bf16: `bf16.enabled` would cast what has to stay fp32, and either that or its own
        # `torch_autocast` would sum gradients over ranks in bf16. So they are fp32, and summed as such.
        "communication_data_type": "fp32",
        "data_types": {"grad_accum_dtype": "fp32"},
        # torch's AdamW runs anywhere; DeepSpeed's own for offloading compiles C++ at its first use.
        "zero_force_ds_cpu_optimizer": False,
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 2**62,
    }
