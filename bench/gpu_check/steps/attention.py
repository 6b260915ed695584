"""Self-attention over all tokens of a clip by each kernel that diffusers can call here, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from torch import Tensor

from bench.gpu_check.figure import Figure, reason
from bench.gpu_check.measuring import cost_of, free_memory
from bench.gpu_check.setting import ClipSize, Setting

BACKENDS: Final = ("native", "_native_cudnn", "_native_flash", "_native_efficient", "flash", "_flash_3", "sage")
"""By diffusers' names; the first is the one that torch chooses, and the reference."""

BACKWARD_PRODUCTS: Final = 2.5
"""Matrix products of a backward (five) over those of a forward (two)."""


def measure(setting: Setting) -> Iterator[Figure]:
    """For each size and kernel, the forward and the backward alone."""
    for clip in setting.clips:
        first: dict[str, float] = {}
        for backend in BACKENDS:
            try:
                yield from _measured(setting, clip, backend, first)
            except Exception as error:  # noqa: BLE001 (what is missing shows itself in many ways)
                yield Figure(what=f"{clip.num_tokens} tokens, {backend}", missing=reason(error))
            free_memory(setting.device)


def _measured(setting: Setting, clip: ClipSize, backend: str, first: dict[str, float]) -> Iterator[Figure]:
    shape = (1, clip.num_tokens, setting.network.num_attention_heads, setting.network.attention_head_dim)
    flops = 4 * clip.num_tokens**2 * shape[2] * shape[3]
    with torch.device(setting.device):
        query, key, value, gradient = (torch.randn(shape, dtype=torch.bfloat16) for _ in range(4))

    def attend() -> Tensor:
        attended: Tensor = dispatch_attention_fn(query, key, value, backend=AttentionBackendName(backend))
        return attended

    with torch.no_grad():
        forward_s = cost_of(attend, setting).seconds
    yield _figure(f"{clip.num_tokens} tokens, {backend}, forward", forward_s, flops, first, "forward")
    for each in (query, key, value):
        each.requires_grad_()
    attended = attend()
    inputs = (query, key, value)
    backward_s = cost_of(lambda: torch.autograd.grad(attended, inputs, gradient, retain_graph=True), setting).seconds
    yield _figure(
        f"{clip.num_tokens} tokens, {backend}, backward", backward_s, BACKWARD_PRODUCTS * flops, first, "backward"
    )


def _figure(what: str, seconds: float, flops: float, first: dict[str, float], part: str) -> Figure:
    return Figure(
        what=what,
        seconds=seconds,
        flops_per_s=flops / seconds,
        ratio=seconds / first.setdefault(part, seconds),
        reference=BACKENDS[0],
    )
