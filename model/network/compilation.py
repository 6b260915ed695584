"""Regional compilation: the network's blocks are compiled, one for all, and the rest is left as it is.

A block's norms, rotations and modulation then run as a few fused kernels. There is no graph break in a block. The
first number of latent frames is compiled as a constant; from the second on, the number is a variable, so that clips of
any length share one compiled block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeVar, cast

import torch
from torch.utils._triton import has_triton

from model.network.transformer import SoulTransformer3DModel

F = TypeVar("F", bound=Callable[..., torch.Tensor])

CompileChoice = Literal["auto", "blocks", "none"]
"""What is compiled; `auto` leaves it to where and how much is computed."""

BACKEND: Final = "inductor"

_RECOMPILE_LIMIT: Final = 64
"""One function stands for the blocks of all networks of the process: student, critic and teacher, with a gradient and
without, adapted or not, at each shape of frames. torch's limit is 8."""


def can_compile(device: torch.device) -> bool:
    """Whether kernels can be compiled for a device without being asked for: a GPU, with Triton."""
    return device.type == "cuda" and has_triton()


def compiled(function: F, backend: str = BACKEND) -> F:
    """A function that compiles itself when it is called; a graph break in it is an error."""
    import torch._dynamo  # noqa: PLC0415 (takes seconds to import)

    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _RECOMPILE_LIMIT)
    return cast("F", torch.compile(function, fullgraph=True, backend=backend))


def compile_blocks(network: SoulTransformer3DModel, backend: str = BACKEND) -> None:
    """Let every block of a network compile itself in its first forward, which takes up to a minute.

    diffusers' `compile_repeated_blocks` compiles a block with its hooks. This compiles its `forward` alone, so that the
    hooks of a step cache, which decide by values of tensors, stay outside.
    """
    for block in network.blocks:
        block.forward = compiled(block.forward, backend)
