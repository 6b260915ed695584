"""Gradient checkpointing: what the backward pass computes again rather than keep.

Attention over all tokens of a clip is half of a block's operations at 720p and two thirds at 1080p, and its output is
small. So `attention` keeps that output and computes all else again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final, Literal, cast

from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

GradientCheckpointing = Literal["none", "full", "attention"]

ATTENTION_KERNELS: Final = frozenset(
    {
        "aten::_scaled_dot_product_flash_attention",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_efficient_attention",
        "aten::_scaled_dot_product_cudnn_attention",
        "aten::_scaled_dot_product_fused_attention_overrideable",
        # FlashAttention's packages: 2, 3 and a later 3.
        "flash_attn::_flash_attn_forward",
        "flash_attn_3::fwd",
        "flash_attn_3::_flash_attn_forward",
    }
)
"""Operators whose outputs can be kept: fused kernels, which take queries and keys first."""

RunBlock = Callable[..., Tensor]
"""Runs a block, its first argument, on the others."""
Compiler = Callable[[RunBlock], RunBlock]


class NothingKeptWarning(UserWarning):
    """The attention does not run in a kernel whose output can be kept."""


def checkpoint_gradients(network: ModelMixin, kind: GradientCheckpointing, compiler: Compiler | None = None) -> None:
    """Let the backward pass of a network compute its blocks again; gradients are the same, bit for bit.

    Args:
        network: changed in place.
        kind: `none` keeps all activations; `full` keeps each block's input; `attention` also the outputs of its
            self-attention kernels. Where that is none of `ATTENTION_KERNELS`, a `NothingKeptWarning` says once that
            it equals `full`.
        compiler: compiles the function that runs a block. The checkpointing is inside, where the compiler sees what is
            to be kept and what again computed.
    """
    if kind == "none":
        network.disable_gradient_checkpointing()
    elif kind == "full":
        network.enable_gradient_checkpointing(_run_again if compiler is None else compiler(_run_again))
    else:
        network.enable_gradient_checkpointing(_KeepAttention(compiler))


def _run_again(block: nn.Module, *inputs: Any) -> Tensor:
    return cast("Tensor", checkpoint(block, *inputs, use_reentrant=False))


class _KeepAttention:
    """Runs a block and keeps its input and the outputs of its self-attention kernels."""

    any_kept: ClassVar = False
    """Whether any network's have been kept. Networks share compiled code, which asks the policy of the first alone."""

    def __init__(self, compiler: Compiler | None) -> None:
        self.kept = False
        self.warned = False

        def policy(_context: Any, operator: Any, *args: Any, **_kwargs: Any) -> CheckpointPolicy:
            # Only in self-attention are there as many keys as queries: texts and windows of sound are short.
            if operator.name() in ATTENTION_KERNELS and args[0].shape == args[1].shape:
                self.kept = _KeepAttention.any_kept = True
                return CheckpointPolicy.MUST_SAVE
            return CheckpointPolicy.PREFER_RECOMPUTE

        contexts = partial(create_selective_checkpoint_contexts, policy)

        def run(block: nn.Module, *inputs: Any) -> Tensor:
            return cast("Tensor", checkpoint(block, *inputs, use_reentrant=False, context_fn=contexts))

        self.is_compiled = compiler is not None
        self.run = run if compiler is None else compiler(run)

    def __call__(self, block: nn.Module, *inputs: Any) -> Tensor:
        output = self.run(block, *inputs)
        kept = self.kept or (self.is_compiled and _KeepAttention.any_kept)
        if not (kept or self.warned):
            self.warned = True
            warnings.warn(
                "gradient_checkpointing attention keeps nothing here and equals full: the self-attention does not run "
                "in a fused kernel of torch's or FlashAttention's",
                NothingKeptWarning,
                stacklevel=1,
            )
        return output
